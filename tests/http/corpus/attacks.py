"""Requests of published attacks on Exchange, each in many disguises.

ATTACKS = {name: [(method, target, [(field, value), ...]), ...]}
None may reach the interior, whether the client has signed in or not. Names as in the advisories.
"""

HOST = "mail.example.com"


def escape_some(text, letters, upper=False):
    """Those letters percent-encoded."""
    form = "%%%02X" if upper else "%%%02x"
    return "".join(form % ord(c) if c in letters else c for c in text)


def cases(text):
    """The path in several cases; servers do not tell them apart."""
    mixed = "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(text))
    return [text.lower(), text.upper(), mixed]


def split(name, value):
    """One field in many lines: folded as of old (RFC 9112 5.2), spread over lines of its own, in other letter cases."""
    half = len(value) // 2
    out = [[(name, "a=b\r\n " + value)], [(name, "\r\n\t" + value)], [(name, value[:half] + "\r\n " + value[half:])], [(name, "a=b"), (name, value)], [(name, value), (name, "a=b")],
           [(name.upper(), value)], [(name.lower(), value)], [(name, "a=b"), (name.lower(), "c=d"), (name.upper(), value)], [(name + " ", value)], [("\x0b" + name, value)]]
    return out


def get(target, *fields):
    return ("GET", target, list(fields))


def post(target, *fields):
    return ("POST", target, list(fields) + [("Content-Type", "text/xml")])


def proxylogon():
    values = [
        "X-AnonResource=true; X-AnonResource-Backend=localhost/ecp/default.flt?~3; X-BEResource=localhost/owa/auth/logon.aspx?~3;",
        "X-BEResource=localhost~1942062522",
        "X-BEResource=cas1/EWS/Exchange.asmx?a=~1942062522;",
        "X-BEResource=administrator@cas1:444/mapi/emsmdb?MailboxId=a@b&a=~1942062522;",
        "X-BEResource=admin@cas1:444/ecp/proxyLogon.ecp?a=~1942062522;",
        "X-BEResource=[]@cas1.corp.example.com:443/path?~1",
        "x-beresource=localhost/owa~1",
        "X-BERESOURCE = localhost/owa~1",
        "a=b; X-BEResource=cas1/autodiscover/autodiscover.xml?a=~1942062522; c=d",
        "X-AnonResource-Backend=srv.evil.example/x?~3; X-AnonResource=true",
        "x-anonresource-backend=evil",
        "X-AnonResource=true",
        "session=1;X-AnonResource-Backend=evil.example",
        "X-BEResource=a]@evil.example:443/x#~1941962753",
        "X-BEResource=localhost\\owa~1",
    ]
    out = [get("/ecp/" + name, ("Cookie", v)) for v in values for name in ("x.js", "default.aspx")]
    out += [get("/owa/auth/x.js", ("Cookie", v)) for v in values]
    out += [post("/ecp/y.js", ("Cookie", values[3])), ("PUT", "/owa/auth/z.js", [("Cookie", values[0])])]
    # Split over several Cookie lines.
    for fields in split("Cookie", values[2]) + split("Cookie", values[9]):
        out.append(get("/owa/", *fields))
    return out


def proxylogon_paths():
    out = []
    for path in ("/ecp/y.js", "/ecp/program.js", "/owa/auth/x.js", "/owa/auth/Current.js", "/ecp/proxyLogon.ecp"):
        out += [get(p) for p in cases(path)]
        out.append(get(escape_some(path, "js")))
    return out


def proxyshell():
    out = []
    tails = ["/mapi/nspi/", "/powershell/", "/EWS/exchange.asmx", "/ecp/default.aspx", "/mapi/emsmdb", "/owa/", "/api/x",
             "/autodiscover/autodiscover.xml", "/rpc/rpcproxy.dll", "/oab/x"]
    for tail in tails:
        out.append(get("/autodiscover/autodiscover.json?@evil.example%s?&Email=autodiscover/autodiscover.json%%3f@evil.example" % tail))
        out.append(get("/autodiscover/autodiscover.json?a=a@b.c%s" % tail))
        out.append(post("/autodiscover/autodiscover.json/v1.0/a@evil.example%s" % tail))
        out.append(get("/autodiscover/autodiscover.json/@evil.example%s?Email=autodiscover/autodiscover.json%%3f@x.y" % tail))
        out.append(get("/Autodiscover/Autodiscover.JSON?%%40evil.example%s?Protocol=x" % tail))
    base = "/autodiscover/autodiscover.json?@evil.example/mapi/nspi/?&Email=autodiscover/autodiscover.json%3f@evil.example"
    for target in cases(base):
        out.append(get(target))
    out += [
        get("/autodiscover/autodiscover.json?Email=autodiscover/autodiscover.json%3f@evil.example&Protocol=EWS"),
        get("/autodiscover/autodiscover.json?Email=autodiscover%2fautodiscover.json%3f@evil.example&Protocol=EWS"),
        get("/autodiscover/autodiscover.json?Email=a@b.c/mapi/nspi&Protocol=EWS"),
        get("/autodiscover/autodiscover.json?Email=a@b.c&Email=d@e.f&Protocol=EWS"),
        get("/autodiscover/autodiscover.json?Email=a@@b.c&Protocol=EWS"),
        get("/autodiscover/autodiscover.json?Email=a@b.c&Protocol=EWS&x=@y.z/powershell"),
        get("/autodiscover/autodiscover.json?@evil.example/owa/"),
        get("/autodiscover/autodiscover.json/v1.0/a%40evil.example/powershell?Protocol=x"),
        get("/autodiscover/autodiscover.json/v1.0/a@evil.example%2fpowershell?Protocol=x"),
        get("/autodiscover/autodiscover.json;a@evil.example/mapi/nspi"),
        get("/autodiscover/autodiscover.xml?a=@evil.example/mapi/nspi"),
        get("/autodiscover/autodiscover.xml?Email=autodiscover/autodiscover.json?@evil.example"),
        get("/owa/?Email=autodiscover/autodiscover.json%3f@evil.example"),
        get("/ecp/?&Email=autodiscover/autodiscover.json%3F@evil.example"),
    ]
    return out


def proxynotshell():
    out = []
    words = ["powershell", "PowerShell", "POWERSHELL", "p%6fwershell", "%70owershell", "pow%65rshell", "powersh%65ll"]
    for word in words:
        out.append(get("/autodiscover/autodiscover.json?a@evil.example/%s/?X-Rps-CAT=x" % word))
        out.append(get("/autodiscover/autodiscover.json?a..foo.var/owa/?&Email=autodiscover/autodiscover.json?a..foo.var&Protocol=XYZ&FooProtocol=%s" % word))
        out.append(get("/autodiscover/autodiscover.xml?x=%s" % word))
        out.append(get("/owa/?x=autodiscover&y=%s" % word))
        out.append(get("/owa/?y=%s&x=autodiscover" % word))
        out.append(get("/ecp/default.aspx?y=%s&x=Auto%%64iscover" % word))
        out.append(get("/ews/exchange.asmx?x=%s/autodiscover" % word))
        out.append(post("/autodiscover/autodiscover.svc?%s" % word))
    out.append(get("/autodiscover/powershell"))
    out.append(get("/powershell/autodiscover"))
    out.append(get("/powershell?autodiscover"))
    return out


def owassrf():
    out = []
    for path in ("/owa/mastermailbox%40outlook.com/powershell", "/owa/a@b.c/powershell/", "/owa/x/PowerShell", "/owa/powershell",
                 "/ecp/powershell/", "/ews/powershell", "/oab/powershell/x", "/owa/a/b/c/powershell/?x=y", "/mapi/emsmdb/powershell"):
        out += [get(path), post(path), get(escape_some(path, "w"))]
        out.append(get(path, ("X-OWA-ExplicitLogonUser", "owa/mastermailbox@outlook.com")))
    out += [get("/owa/", ("X-OWA-ExplicitLogonUser", v)) for v in
            ("owa/mastermailbox@outlook.com", "mastermailbox@outlook.com", "powershell", "OWA/x", "a/b")]
    out += [get("/owa/powershell;x"), get("/owa/powershell.aspx")]
    out += [get("/owa/", *fields) for fields in split("X-OWA-ExplicitLogonUser", "owa/mastermailbox@outlook.com")]
    return out


def proxytoken():
    out = []
    for value in ("SecurityToken=x", "a=b; SecurityToken=x", "securitytoken=x", "SECURITYTOKEN = x", "a=b;SecurityToken=",
                  "a=b;\tSecurityToken=y; c=d", "x=1; y=2; SecurityToken=z"):
        for path in ("/ecp/admin@example.com/PersonalSettings/HomePage.aspx?showhelp=false&", "/ecp/", "/ecp/RulesEditor/InboxRules.svc/NewObject?msExchEcpCanary=x",
                     "/owa/"):
            out.append(get(path, ("Cookie", value)))
    out += [get("/owa/", *fields) for fields in split("Cookie", "SecurityToken=x")]
    return out


def backend_cookie():
    return [get("/owa/", ("Cookie", v)) for v in (
        "X-BackEndCookie=a@evil.example", "X-BackEndCookie=x/y", "x-backendcookie=a%40evil", "X-BackEndCookie = a%2Fb",
        "a=b; X-BackEndCookie=admin@cas1:444/ecp", "X-BackEndCookie=S-1-5=u56@x", "a=b;X-BACKENDCOOKIE=//x",
        "c=d; X-BackEndCookie=https://evil", "X-BackEndCookie=%2f%2fevil", "X-BackEndCookie=evil/")] + \
        [get("/owa/", *fields) for fields in split("Cookie", "X-BackEndCookie=admin@cas1:444/ecp")]


def view_state():
    return [get("/ecp/default.aspx?__VIEWSTATEGENERATOR=B97B4E27&__VIEWSTATE=%2fwEy"), get("/ecp/?__viewstate=x"),
            get("/ecp/default.aspx?a=b&__ViewState=x"), get("/ecp/default.aspx?__VIEWSTATEGENERATOR=x"),
            get("/ecp/default.aspx?%5f%5fVIEWSTATE=x"), get("/ecp/default.aspx?_%5FVIEWSTATE=x"),
            get("/ecp/default.aspx?__VIEWSTATE%3d=x&__VIEWSTATE=y"), post("/ecp/default.aspx?__VIEWSTATE=x"),
            get("/ECP/DEFAULT.ASPX?__VIEWSTATE=x"), get("/ecp/default.aspx?&&__VIEWSTATE=x")]


def path_tricks():
    """What a server behind might read as another path."""
    out = []
    for path in ("/owa/../powershell", "/owa/..%2fpowershell", "/owa/%2e%2e/powershell", "/owa/.%2e/ecp", "/owa/..;/powershell", "/owa/%2e%2e%2fpowershell",
                 "/owa/..%5cpowershell", "/owa/..\\powershell", "/owa/%252e%252e/powershell", "/owa/%c0%ae%c0%ae/powershell", "/owa//powershell",
                 "/owa/%00/powershell", "/owa/x%00.gif", "/owa/%u002e%u002e/powershell", "/owa/./powershell", "/owa/x/..", "/owa/%2f/powershell",
                 "/owa/%5c/powershell", "/owa/%255c", "/owa/...;/powershell", "//powershell", "/\\powershell", "/%2fpowershell", "/owa%2fpowershell",
                 "/owa%5c..%5cpowershell", "/owa/\x7f", "/owa/%0d%0aX:y", "/owa/%zz", "/owa/%", "/owa/%e0%80%af", "/OWA/..%2FPOWERSHELL"):
        out.append(get(path))
    return out


def health_pages():
    """What tells from outside which part of the interior is broken."""
    out = []
    for folder in ("owa", "ecp", "ews", "oab", "mapi", "mapi/emsmdb", "rpc", "microsoft-server-activesync", "autodiscover", "unifiedmessaging"):
        out += [get("/%s/%s" % (folder, name)) for name in ("healthcheck.htm", "HealthCheck.HTM", "%68ealthcheck.htm", "healthcheck%2ehtm", "x/healthcheck.htm", "healthcheck.htm/", "healthcheck.htm?a=b")]
    return out


def administration():
    """The administrators' part of ECP, for who is none."""
    out = []
    for path in ("/ecp/VDirMgmt/VirtualDirectories.slab", "/ecp/vdirmgmt/resetvirtualdirectory.aspx", "/ecp/UsersGroups/Mailboxes.slab", "/ecp/Servers/Servers.slab", "/ecp/Reporting/AuditReports.slab",
                 "/ecp/DDI/DDIService.svc/SetObject?schema=OABVirtualDirectory", "/ecp/DDI/DDIService.svc/GetObject?msExchEcpCanary=x&schema=VirtualDirectory", "/ecp/DDI/DDIService.svc/GetList?Schema=MailboxDatabase",
                 "/ecp/DDI/DDIService.svc/SetObject?sch%65ma=x", "/ecp/DDI/DDIService.svc/SetObject?schema=OABVirtual%44irectory", "/ecp/bob@example.com/PersonalSettings/Password.aspx", "/ecp/Migration/MigrationBatch.aspx"):
        out += [get(path), post(path)] + [get(p) for p in cases(path)[1:2]]
    return out


def unpublished():
    out = []
    for path in ("/powershell", "/powershell/", "/PowerShell?serializationLevel=Full", "/api/v2.0/me", "/pushnotifications/", "/exadmin/", "/aspnet_client/",
                 "/owa/healthcheck.htm%00", "/mapi/healthcheck.htm", "/certsrv/", "/", "/ecpx", "/owax/", "/rpc/", "/rpc/other.dll",
                 "/autodiscover/", "/autodiscover/other.svc", "/ews/", "/ews/other.asmx", "/oabx/", "/microsoft-server-activesyncx", "/mapi/", "/mapi/other"):
        out.append(get(path) if path != "/" else post("/"))
    return out


def rpc_scan():
    """rpcproxy as a way into the interior."""
    out = []
    for target in ("dc1.corp.example.com:389", "dc1:445", "10.0.0.5:3389", "[::1]:6001", "127.0.0.1:80", "localhost:6001", "mail.example.com:25",
                   "mail.example.com:6001/../x", "mail.example.com:6001@evil:6001", "mail.example.com", "mail.example.com:", ":6001",
                   "mail.example.com:06001x", "mail.example.com:6001:6002", "evil.example:6001", "x@evil.example:6001",
                   "12345678-1234-1234-1234-123456789abc@evil.example:6001", "mail.example.com%00:6001", "mail.example.com:6005", "mail.example.com:65536"):
        for method, length in (("RPC_OUT_DATA", 76), ("RPC_IN_DATA", 1 << 30)):
            out.append((method, "/rpc/rpcproxy.dll?" + target, [("Content-Length", str(length)), ("User-Agent", "MSRPC")]))
    return out


ATTACKS = {
    "ProxyLogon (CVE-2021-26855), cookies": proxylogon(),
    "ProxyLogon, artefacts": proxylogon_paths(),
    "ProxyShell (CVE-2021-34473)": proxyshell(),
    "ProxyNotShell (CVE-2022-41040)": proxynotshell(),
    "OWASSRF (CVE-2022-41080)": owassrf(),
    "ProxyToken (CVE-2021-33766)": proxytoken(),
    "back end cookie": backend_cookie(),
    "view state (CVE-2020-0688)": view_state(),
    "health pages": health_pages(),
    "ECP's administration": administration(),
    "path tricks": path_tricks(),
    "what is not published": unpublished(),
    "rpcproxy as a scanner": rpc_scan(),
}
