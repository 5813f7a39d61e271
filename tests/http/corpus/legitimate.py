"""Requests of real clients, all of which must pass: CORPUS = {kind: [(method, target, [(field, value), ...], body), ...]}.

Shaped after the protocols' own documents and the clients' habits; no recorded data of anybody is in it.
"""
import base64
import struct
from urllib.parse import quote

IPHONE = "Apple-iPhone12C1/2006.70"
GUIDS = ["5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3a1", "0c2e9a31-77aa-4c6e-9f0e-2b1a4a3c9d10"]


def owa_2007():
    out = [("GET", "/owa/" + t, [], None) for t in (
        "", "?ae=Folder&t=IPF.Note", "?ae=Folder&t=IPF.Appointment&yr=2008&mn=3&dy=4", "?ae=Item&t=IPM.Note&id=RgAAAABcQ%2fZ2%2bKkXQ7x%3d%3d",
        "?ae=Item&a=New&t=IPM.Note", "?ae=Dialog&t=AddressBook&a=PickRecipients", "8.3.83.4/themes/base/logo.gif", "8.3.83.4/scripts/premium/uglobal.js",
        "attachment.ashx?attach=1&id=RgAAAABc%2bQ%3d%3d&attid0=EAC%2fx&attcnt=1", "ev.owa?oeh=1&ns=HttpProxy&ev=ProxyRequest",
        "ev.owa?oeh=1&ns=PendingRequest&ev=FinishNotificationRequest&UA=0", "ev.owa?oeh=1&ns=Monitor&ev=Ping", "auth/logon.aspx?url=https%3a%2f%2fmail.example.com%2fowa%2f&reason=0",
        "?cmd=contents&part=1", "forms/premium/x.aspx?a=b;c=d", "?ae=Folder&id=LgAAAAD%2f%2b&slUsng=0")]
    out += [("POST", "/owa/ev.owa?oeh=1&ns=%s&ev=%s" % x, [("X-OWA-CANARY", "aBc-_.1")], b"<params/>") for x in (
        ("MsgLstView", "Load"), ("CalendarView", "Refresh"), ("Reminder", "Snooze"), ("AutoSave", "SaveMessage"), ("TaskVLV", "Load"))]
    out += [("POST", "/owa/auth/owaauth.dll", [("Content-Type", "application/x-www-form-urlencoded")], b"destination=https%3A%2F%2Fmail%2Fowa&username=a&password=b")]
    return out


def owa_2013():
    actions = "GetItem FindItem CreateItem UpdateItem DeleteItem MoveItem GetCalendarView GetConversationItems FindConversation FindPeople GetPersona GetOwaUserConfiguration " \
              "SubscribeToNotification GetFolderMruConfiguration MarkAsRead GetReminders PerformReminderAction CreateAttachment GetUserPhoto SetUserOption".split()
    out = [("POST", "/owa/service.svc?action=%s&EP=1&ID=-%d&AC=1" % (a, i), [("Action", a), ("X-OWA-CANARY", "k3.Z_x-"), ("X-Requested-With", "XMLHttpRequest")], b"{}")
           for i, a in enumerate(actions, 1)]
    out += [("GET", "/owa/" + t, [("Cookie", "X-BackEndCookie=S-1-5-21-1-2-3=u56Lnp2ejJqBzZrLzJrMx5rS; ClientId=ABC; UC=1; X-OWA-CANARY=k3.Z_x-")], None) for t in (
        "?bO=1", "sessiondata.ashx?appcacheclient=0", "ping", "prem/15.1.2507.39/scripts/boot.worldwide.0.mouse.js", "prem/15.1.2507.39/resources/images/0/sprite1.mouse.png",
        "ev.owa2?ns=PendingRequest&ev=FinishNotificationRequest&UA=0&cid=1f0e-2&X-OWA-CANARY=k3.Z_x-", "auth/15.1.2507/themes/resources/segoeui-regular.ttf",
        "auth/15.1.2507/scripts/premium/flogon.js", "auth/logon.aspx?replaceCurrent=1&url=https%3a%2f%2fmail.example.com%2fowa%2f", "manifests/appcachemanifesthandler.ashx?owamanifest=1",
        "service.svc/s/GetFileAttachment?id=AAMkAGI1%2BwAA%2FQ%3D%3D&X-OWA-CANARY=k3.Z_x-", "service.svc/s/GetPersonaPhoto?email=bob%40example.com&size=HR64x64",
        "shared@example.com/?bO=1", "shared%40example.com/sessiondata.ashx?appcacheclient=0", "keepalive.owa", "logoff.owa", "languageselection.aspx", "plt1.ashx",
        "calendar/1f2e3d@example.com/4c5b/calendar.html", "?path=/mail/search&q=how+to+use+powershell", "?path=/mail&realm=example.com")]
    return out


def activesync_plain():
    commands = "Sync SendMail SmartForward SmartReply GetAttachment FolderSync FolderCreate FolderDelete FolderUpdate MoveItems GetItemEstimate MeetingResponse Search Settings Ping ItemOperations Provision ResolveRecipients ValidateCert".split()
    out = [("OPTIONS", "/Microsoft-Server-ActiveSync", [("User-Agent", IPHONE)], None),
           ("OPTIONS", "/microsoft-server-activesync?User=alice&DeviceId=ApplDX3&DeviceType=iPhone", [("User-Agent", IPHONE)], None)]
    out.append(("OPTIONS", "/Microsoft-Server-ActiveSync?Cmd=OPTIONS&User=alice&DeviceId=ApplDX3&DeviceType=iPhone", [("User-Agent", IPHONE)], None))
    for i, c in enumerate(commands):
        version = ("2.5", "12.1", "14.0", "14.1", "16.1")[i % 5]
        user = ("alice", "CORP%5Calice", "CORP\\alice".replace("\\", "%5c"), "alice%40example.com", "alice@example.com")[i % 5]
        fields = [("MS-ASProtocolVersion", version), ("User-Agent", IPHONE), ("X-MS-PolicyKey", "1307199584"), ("Content-Type", "application/vnd.ms-sync.wbxml")]
        out.append(("POST", "/Microsoft-Server-ActiveSync?Cmd=%s&User=%s&DeviceId=ApplDX3%02d&DeviceType=iPhone" % (c, user, i), fields, b"\x03\x01j\x00"))
        out.append(("POST", "/Microsoft-Server-ActiveSync?User=%s&DeviceId=androidc%02d&DeviceType=Android&Cmd=%s" % (user, i, c),
                    [("MS-ASProtocolVersion", version), ("User-Agent", "Android/10-EAS-2.0")], b""))
    out += [("POST", "/Microsoft-Server-ActiveSync?Cmd=GetAttachment&AttachmentName=Inbox%2fRe%3a%20x.EML%2f1&User=alice&DeviceId=6F24CAD599A5BF1A&DeviceType=PocketPC",
             [("MS-ASProtocolVersion", "2.5"), ("User-Agent", "MSFT-PPC/5.2.5082")], b""),
            ("POST", "/Microsoft-Server-ActiveSync?Cmd=SendMail&SaveInSent=T&User=alice&DeviceId=SMP1&DeviceType=SmartPhone", [("MS-ASProtocolVersion", "12.0")], b"MIME-Version: 1.0"),
            ("POST", "/Microsoft-Server-ActiveSync?Cmd=Ping&User=alice&DeviceId=NMS%2B1&DeviceType=NokiaE72", [("MS-ASProtocolVersion", "2.5")], b"")]
    return out


def activesync_base64():
    out = []
    for code in list(range(0, 24)):
        for version in (121, 140, 141, 160, 161):
            device = bytes(range(code + 1, code + 17)) if code % 2 else b"ApplDX3%02d" % code
            raw = struct.pack("<BBH", version, code, 0x0409) + bytes([len(device)]) + device
            raw += (b"\x04" + struct.pack("<I", 1307199584)) if code % 3 else b"\x00"
            kind = (b"WP8", b"iPhone", b"Android")[code % 3]
            raw += bytes([len(kind)]) + kind
            if code % 4 == 0:
                raw += b"\x07\x01\x01"
            if code % 5 == 0:
                raw += b"\x01\x05Inbox\x03\x08RgAAAA=="
            text = base64.b64encode(raw).decode()
            if code % 2:
                text = quote(text, safe="")
            out.append(("POST", "/Microsoft-Server-ActiveSync?" + text, [("User-Agent", "MSFT-WP/8.10.14219"), ("Content-Type", "application/vnd.ms-sync")], b"\x03\x01j\x00"))
    return out


def outlook_anywhere():
    out = []
    agent = [("User-Agent", "MSRPC"), ("Accept", "application/rpc"), ("Cache-Control", "no-cache"), ("Pragma", "No-cache")]
    for target in ("mail.example.com:6001", "mail.example.com:6002", "mail.example.com:6004", GUIDS[0] + "@example.com:6001", GUIDS[1].upper() + "@example.com:6004"):
        for dll in ("/rpc/rpcproxy.dll", "/rpcwithcert/rpcproxy.dll", "/RPC/RpcProxy.dll"):
            out.append(("RPC_IN_DATA", dll + "?" + target, agent, b""))            # an NTLM leg announces nothing
            out.append(("RPC_OUT_DATA", dll + "?" + target, agent, b"\x05\x00\x14\x03" + bytes(72)))
            out.append(("RPC_OUT_DATA", dll + "?" + target, agent, b"\x05\x00\x14\x03" + bytes(116)))
            out.append(("RPC_IN_DATA", dll + "?" + target, agent, bytes(16)))      # echo
    return out


def web_services():
    soap = [("Content-Type", "text/xml; charset=utf-8"), ("User-Agent", "MacOutlook/16.78"), ("X-AnchorMailbox", "alice@example.com")]
    out = [("POST", "/EWS/Exchange.asmx", soap + [("SOAPAction", '"http://schemas.microsoft.com/exchange/services/2006/messages/%s"' % a)], b"<s:Envelope/>")
           for a in "GetFolder FindItem GetItem CreateItem SyncFolderItems GetStreamingEvents Subscribe GetUserAvailability ResolveNames GetAttachment GetServerTimeZones".split()]
    out += [("GET", "/ews/exchange.asmx?wsdl", [], None), ("GET", "/ews/exchange.asmx/s/GetUserPhoto?email=bob%40example.com&size=HR96x96", [], None)][:1]
    for path in ("/Autodiscover/Autodiscover.xml", "/autodiscover/autodiscover.xml", "/AutoDiscover/AutoDiscover.XML", "/autodiscover/autodiscover.svc"):
        out.append(("POST", path, [("Content-Type", "text/xml"), ("X-MapiHttpCapability", "1"), ("User-Agent", "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.4266; Pro)")], b"<Autodiscover/>"))
    out.append(("GET", "/autodiscover/autodiscover.xml", [], None))
    for path in ("/mapi/emsmdb/?MailboxId=%s@example.com" % GUIDS[0], "/mapi/nspi/?MailboxId=%s@example.com" % GUIDS[0], "/MAPI/emsmdb?MailboxId=%s@example.com" % GUIDS[1]):
        for kind in ("Connect", "Execute", "NotificationWait", "Disconnect", "Bind", "PING"):
            out.append(("POST", path, [("Content-Type", "application/mapi-http"), ("X-RequestType", kind), ("X-RequestId", "{%s}:1" % GUIDS[0]), ("X-ClientInfo", "{%s}:2" % GUIDS[1]),
                                       ("X-ClientApplication", "Outlook/15.0.4815.1002"), ("Cookie", "MapiContext=MAPIAAAA; MapiSequence=7-kQ==; X-BackEndCookie=abc=u56Lnp2e")], b"\x00" * 8))
    for name in ("oab.xml", "%s-data-1.lzx" % GUIDS[0], "%s-lng0409-1.lzx" % GUIDS[1], "binpatch-2-3.lzx"):
        out.append(("GET", "/OAB/%s/%s" % (GUIDS[0], name), [("User-Agent", "Microsoft BITS/7.8"), ("Range", "bytes=0-1023")], None))
        out.append(("HEAD", "/oab/%s/%s" % (GUIDS[1], name), [], None))
    out.append(("POST", "/UnifiedMessaging/Service.asmx", soap, b"<s:Envelope/>"))
    for path in ("/ecp/", "/ecp/default.aspx?p=PersonalSettings/MailboxProperties.aspx", "/ecp/15.1.2507.39/scripts/common.js", "/ecp/PersonalSettings/EditPassword.aspx?exsvurl=1",
                 "/ecp/RulesEditor/InboxRules.slab", "/ecp/Organize/AutomaticReplies.slab", "/ecp/PersonalSettings/Password.aspx", "/ecp/Customize/Messaging.aspx", "/ecp/MyGroups/PersonalGroups.aspx", "/ecp/SMS/TextMessaging.slab",
                 "/ecp/15.1.2507.39/themes/default/images/sprite.png", "/ecp/DDI/DDIService.svc/GetList?schema=InboxRule&msExchEcpCanary=x.y-z_", "/ecp/?rfr=owa&owaparam=modurl%3D0&p=Organize/InboxRules.slab"):
        out.append(("GET", path, [("Cookie", "msExchEcpCanary=x.y-z_; cadata=abc=; cadataKey=d/e+f==")], None))
    return out


SUBJECTS = ["Re: 50% off & more", "Q+A about C++", "Grüße aus Köln", "Résumé (final).doc", "日本語の件名", "Привет, мир", "a=b&c=d", "100% sure?", "tips for PowerShell", "[list] hello {world}",
            "it's 'quoted'", "semi;colon", "tilde~caret^", "a #hash", "comma, dot. dash-", "$100 @ noon", "x<y>z", "pipe|pipe", "ends with .", "%d formatted %s"]


def webdav():
    out = []
    for i, subject in enumerate(SUBJECTS):
        name = quote(subject, safe="!$&'()*+,=:@~-_.")
        if subject.endswith("."):
            name = quote(subject[:-1] + "_", safe="")
        url = "/exchange/alice/Inbox/%s.EML" % name
        out.append(("GET", url, [("Translate", "f"), ("User-Agent", "Entourage/12.2.7")], None))
        out.append((("PROPFIND", "PROPPATCH", "DELETE", "HEAD")[i % 4], url, [("Depth", "0")], b"<p/>" if i % 4 < 2 else None))
        out.append((("MOVE", "COPY")[i % 2], url, [("Destination", "https://mail.example.com/exchange/alice/Deleted%%20Items/%s.EML" % name), ("Overwrite", "F")], None))
    for method in ("SEARCH", "SUBSCRIBE", "POLL", "BCOPY", "BMOVE", "BDELETE", "BPROPPATCH", "BPROPFIND", "MKCOL", "LOCK", "UNLOCK", "UNSUBSCRIBE", "NOTIFY", "X-MS-ENUMATTS", "OPTIONS", "PUT", "POST"):
        out.append((method, "/exchange/alice/Calendar/", [("Destination", "https://mail.example.com/exchange/alice/Calendar/")] if method in ("BCOPY", "BMOVE") else [],
                    b"<x/>" if method not in ("OPTIONS", "UNSUBSCRIBE", "UNLOCK", "MKCOL") else None))
    out += [("GET", "/public/Company/Powershell/scripts.EML", [], None), ("GET", "/exchweb/6.5.7226.0/themes/0/img/logo.gif", [], None), ("GET", "/exchange/alice/?Cmd=contents&Page=2", [], None),
            ("GET", "/exchange/alice/Inbox/healthcheck.htm", [], None), ("GET", "/public/Operations/healthcheck.htm/x.EML", [], None),
            ("GET", "/exchange/alice/Inbox/autodiscover%20and%20powershell.EML/?Cmd=open", [], None)]
    return out


CORPUS = {
    "OWA 2003 to 2010": owa_2007(),
    "OWA 2013 and later": owa_2013(),
    "ActiveSync, plain query": activesync_plain(),
    "ActiveSync, base64 query": activesync_base64(),
    "Outlook Anywhere": outlook_anywhere(),
    "EWS, Autodiscover, MAPI, OAB, UM, ECP": web_services(),
    "WebDAV": webdav(),
}
