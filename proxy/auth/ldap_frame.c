#include "ldap_frame.h"

int ldap_frame_head(const unsigned char *p, size_t n, size_t *ret_body)
{
    size_t octets, body = 0;

    if (n > 0 && p[0] != 0x30) /* SEQUENCE */
        return -1;
    if (n < 2)
        return 0;
    octets = p[1] & 0x7fu;
    if ((p[1] & 0x80) == 0) {
        *ret_body = p[1];
        return 2;
    }
    if (octets == 0 || octets > 4)
        return -1;
    for (size_t i = 0; i < octets && 2 + i < n; i++)
        body = body << 8 | p[2 + i];
    if (body > LDAP_FRAME_MAX)
        return -1;
    *ret_body = body;
    return n < 2 + octets ? 0 : (int)(2 + octets);
}

long ldap_frame_number(const unsigned char *p, size_t n)
{
    unsigned long number = 0;

    if (n < 3 || p[0] != 0x02 || p[1] == 0 || p[1] > 4 || n < 2u + p[1] || (p[2] & 0x80) != 0)
        return -1;
    for (size_t i = 0; i < p[1]; i++)
        number = number << 8 | p[2 + i];
    return (long)number;
}
