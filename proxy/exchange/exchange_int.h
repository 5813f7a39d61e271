/*
 * exchange_int: the filters of this room, and what they ask of a route.
 */
#ifndef POSTERN_EXCHANGE_INT_H
#define POSTERN_EXCHANGE_INT_H

#include <postern/filter.h>

extern const struct filter filter_outlook_anywhere, filter_activesync, filter_autodiscover_json,
    filter_device, filter_destination, filter_redirects, filter_cookies, filter_control_panel;

bool exchange_is_activesync(const struct snapshot *s, const struct conf_publish *p,
                            const struct conf_service *v);

#endif
