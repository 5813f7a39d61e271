#include "report.h"

#include "report_page.h"

/* The page is a template: its script reads the JSON that stands where the marker was. */
void report_html(const struct run *r, FILE *to)
{
    fwrite(report_page_head, 1, sizeof report_page_head - 1, to);
    report_json(r, to);
    fwrite(report_page_tail, 1, sizeof report_page_tail - 1, to);
}
