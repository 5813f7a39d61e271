/* Documents made from the option table, so that none of them can disagree with the parser. */
#include "conf_int.h"

static const char *section_title(enum conf_section s)
{
    return conf_sections[s].name ? conf_sections[s].name : "top of the file";
}

static void each_option(enum conf_section s, void (*write)(const struct conf_option *o, FILE *to), FILE *to)
{
    for (size_t i = 0; i < conf_options_n; i++)
        if (conf_options[i].section == s)
            write(&conf_options[i], to);
}

/* --- Markdown --- */
static void reference_option(const struct conf_option *o, FILE *to)
{
    fprintf(to, "| `%s` | %s | %s", o->name, o->type->describe,
            !o->def && o->flags & CONF_REQUIRED ? "required" : "");
    conf_print_default(o, to);
    fputs(" | ", to);
    conf_print_range(o, "", "", to);
    fprintf(to, " | %s%s |\n", o->doc, o->flags & CONF_RESTART ? " (restart)" : "");
}

static const char *preset_paths(const struct conf_preset *p)
{
    const char *paths = conf_preset_value(p, "paths", CONF_EXCHANGE_2016);
    return paths ? paths : conf_preset_value(p, "patterns", CONF_EXCHANGE_2016);
}

static void reference_versions(FILE *to)
{
    fputs("\n## Presets by version\n\nWhat `exchange:` changes in the presets.\n\n"
          "| Exchange | service | option | value |\n|---|---|---|---|\n",
          to);
#define VERSION(first, last, preset, option, value)                                                          \
    fputs("| " #first " to " #last " | `" preset "` | `" option "` | `" value "` |\n", to);
#include <postern/exchange_versions.def>
#undef VERSION
}

static void reference(FILE *to)
{
    fputs("# postern.yaml\n\nGenerated from the option table; `postern show options` prints the same.\n", to);
    for (int s = 0; s < CONF_SECTION_COUNT; s++) {
        fprintf(to,
                "\n## %s\n\n%s.\n\n| option | value | default | range | meaning |\n|---|---|---|---|---|\n",
                section_title(s), conf_sections[s].doc);
        each_option(s, reference_option, to);
    }
    fputs("\n## Presets\n\n| service | meaning | paths | methods |\n|---|---|---|---|\n", to);
    for (size_t i = 0; i < conf_presets_n; i++)
        if (conf_presets[i].section == CONF_SECTION_service)
            fprintf(to, "| `%s` | %s | `%s` | `%s` |\n", conf_presets[i].name, conf_presets[i].doc,
                    preset_paths(&conf_presets[i]),
                    conf_preset_value(&conf_presets[i], "methods", CONF_EXCHANGE_2016));
    reference_versions(to);
    fputs("\n## Shipped rules\n\n| rule | against | looks at |\n|---|---|---|\n", to);
    for (size_t i = 0; i < conf_presets_n; i++)
        if (conf_presets[i].section == CONF_SECTION_rule)
            fprintf(to, "| `%s` | %s | %s |\n", conf_presets[i].name, conf_presets[i].doc,
                    conf_preset_value(&conf_presets[i], "where", CONF_EXCHANGE_2016));
}

/* --- troff --- */
static void man_text(const char *s, FILE *to)
{
    for (; *s; s++) {
        if (*s == '-' || *s == '\\')
            fputc('\\', to);
        fputc(*s, to);
    }
}

static void man_option(const struct conf_option *o, FILE *to)
{
    fputs(".TP\n.B ", to);
    man_text(o->name, to);
    fputs("\n\\&", to);
    man_text(o->doc, to);
    fputs(".\nValue: ", to);
    man_text(o->type->describe, to);
    if (o->def) {
        fputs(". Default: ", to);
        conf_print_default(o, to);
    } else if (o->flags & CONF_REQUIRED) {
        fputs(". Required", to);
    }
    fputs(".\n", to);
}

static void man(FILE *to)
{
    fputs(".TH POSTERN.YAML 5\n.SH NAME\npostern.yaml \\- configuration of postern(1)\n", to);
    for (int s = 0; s < CONF_SECTION_COUNT; s++) {
        fputs(".SH \"", to);
        man_text(section_title(s), to);
        fputs("\"\n\\&", to);
        man_text(conf_sections[s].doc, to);
        fputs(".\n", to);
        each_option(s, man_option, to);
    }
    fputs(".SH SEE ALSO\n.BR postern (1)\n", to);
}

/* --- sample: comments only, so that it can be copied and opened option by option --- */
static void sample_option(const struct conf_option *o, FILE *to)
{
    const char *indent =
        conf_sections[o->section].name ? conf_sections[o->section].plural ? "    " : "  " : "";
    fprintf(to, "# %s%s: ", indent, o->name);
    conf_print_default(o, to);
    fprintf(to, "%s   # %s%s\n", o->def ? "" : "...", o->flags & CONF_REQUIRED ? "required; " : "", o->doc);
}

static void sample(FILE *to)
{
    fputs("# postern.yaml: every option with its default. `postern check` reads what you make of it.\n", to);
    for (int s = 0; s < CONF_SECTION_COUNT; s++) {
        const struct conf_section_info *info = &conf_sections[s];
        fprintf(to, "\n# --- %s ---\n", info->doc);
        if (info->name)
            fprintf(to, "# %s:\n", info->name);
        if (info->plural)
            fputs(info->plural[0] == 'l' ? "#   -\n" : "#   NAME:\n", to);
        each_option(s, sample_option, to);
    }
}

/* --- libFuzzer dictionary --- */
static void dictionary(FILE *to)
{
    for (int s = 0; s < CONF_SECTION_COUNT; s++)
        if (conf_sections[s].name)
            fprintf(to, "\"%s:\"\n", conf_sections[s].name);
    for (size_t i = 0; i < conf_options_n; i++) {
        fprintf(to, "\"%s: \"\n", conf_options[i].name);
        for (const struct conf_value *v = conf_options[i].type->values; v && v->word; v++)
            fprintf(to, "\"%s\"\n", v->word);
    }
}

/* --- JSON schema: names and words; ranges with units are beyond it --- */
static void json_text(const char *s, FILE *to)
{
    for (fputc('"', to); *s; s++) {
        if (*s == '"' || *s == '\\')
            fputc('\\', to);
        fputc(*s, to);
    }
    fputc('"', to);
}

static void schema_object(enum conf_section s, bool close, FILE *to)
{
    const char *gap = "";
    fputs("{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {", to);
    for (size_t i = 0; i < conf_options_n; i++) {
        const struct conf_option *o = &conf_options[i];
        if (o->section != s)
            continue;
        fprintf(to, "%s\n\"%s\": {\"description\": ", gap, o->name);
        json_text(o->doc, to);
        for (const struct conf_value *v = o->type->values; v && v->word; v++)
            fprintf(to, "%s\"%s\"%s", v == o->type->values ? ", \"enum\": [" : ", ", v->word,
                    v[1].word ? "" : "]");
        fputc('}', to);
        gap = ",";
    }
    if (close)
        fputs("}}", to);
}

static void schema(FILE *to)
{
    schema_object(CONF_SECTION_process, false, to);
    for (int s = 0; s < CONF_SECTION_COUNT; s++) {
        const struct conf_section_info *info = &conf_sections[s];
        if (!info->name)
            continue;
        fprintf(to, ",\n\"%s\": ", info->name);
        if (info->plural)
            fputs(info->plural[0] == 'l' ? "{\"type\": \"array\", \"items\": "
                                         : "{\"type\": \"object\", \"additionalProperties\": ",
                  to);
        schema_object(s, true, to);
        fputs(info->plural ? "}" : "", to);
    }
    fputs("}}\n", to);
}

int conf_generate(const char *what, FILE *to)
{
    static const struct {
        const char *what;
        void (*write)(FILE *to);
    } documents[] = {
        {"reference", reference},   {"man", man}, {"sample", sample}, {"schema", schema},
        {"dictionary", dictionary},
    };
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++)
        if (strcmp(what, documents[i].what) == 0) {
            documents[i].write(to);
            return ferror(to) ? -1 : 0;
        }
    return -1;
}
