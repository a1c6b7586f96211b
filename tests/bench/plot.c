/* plot.c - draws what the benchmarks measured: reads micro.csv, scaling.csv, scaling_queues.csv, e2e.csv and tunnel.csv in a directory and
   writes *.svg beside them. Charts without figures are left out. cost-*.svg have two halves: if e2e.csv or tunnel.csv is not there, the one
   of the second directory is taken.

       plot DIRECTORY [DIRECTORY] */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { NAME = 48, LINES_MAX = 4096 };

typedef struct measurement {
    char row[NAME], implementation[NAME];
    double ratio;
} measurement;

typedef struct point {
    char series[NAME], implementation[NAME], mode[NAME];
    double x, value;
} point;

/* A row of e2e.csv or tunnel.csv: CPU seconds for a gigabyte of one TCP stream. */
typedef struct cost {
    char file[NAME], row[NAME];
    double seconds;
    double least, most; /* of a round; 0: not told */
} cost;

static measurement measurements[LINES_MAX];
static point points[LINES_MAX];
static cost costs[LINES_MAX];
static size_t measurement_count, point_count, cost_count;
static const char *elsewhere; /* the second directory, or NULL */

static void die(const char *what, const char *which)
{
    fprintf(stderr, "plot: %s: %s\n", which, what);
    exit(1);
}

static FILE *open_in(const char *directory, const char *name, const char *mode)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return fopen(path, mode);
}

static FILE *create_in(const char *directory, const char *name)
{
    FILE *f = open_in(directory, name, "w");

    if (!f)
        die("cannot be written", name);
    return f;
}

static void read_measurements(const char *directory)
{
    FILE *f = open_in(directory, "micro.csv", "r");
    char line[512];

    while (f && fgets(line, sizeof line, f) && measurement_count < LINES_MAX) {
        measurement *m = &measurements[measurement_count];
        if (sscanf(line, "%47[^,],%47[^,],%*f,%*f,%*f,%lf", m->row, m->implementation, &m->ratio) == 3)
            measurement_count++;
    }
    if (f)
        fclose(f);
}

static void read_points(const char *directory)
{
    FILE *f = open_in(directory, "scaling.csv", "r");
    char line[512];

    while (f && fgets(line, sizeof line, f) && point_count < LINES_MAX) {
        point *p = &points[point_count];
        if (sscanf(line, "%47[^,],%lf,%47[^,],%47[^,],%lf", p->series, &p->x, p->implementation, p->mode, &p->value) == 5)
            point_count++;
    }
    if (f)
        fclose(f);
}

/* Millions of packets a second, as one more series. */
static void read_queues(const char *directory)
{
    FILE *f = open_in(directory, "scaling_queues.csv", "r");
    char line[512];

    while (f && fgets(line, sizeof line, f) && point_count < LINES_MAX) {
        point *p = &points[point_count];
        if (sscanf(line, "%lf,%lf", &p->x, &p->value) == 2) {
            p->value /= 1e6;
            strcpy(p->series, "queues");
            strcpy(p->implementation, "tunoffload");
            strcpy(p->mode, "packets");
            point_count++;
        }
    }
    if (f)
        fclose(f);
}

/* format: of a row of one TCP stream: its name, the seconds of each end (1 or 2), which are added, the least and the most of all ends. */
static void read_costs(const char *directory, const char *name, int ends, const char *format)
{
    FILE *f = open_in(directory, name, "r");
    char line[512];

    if (!f && elsewhere)
        f = open_in(elsewhere, name, "r");
    while (f && fgets(line, sizeof line, f) && cost_count < LINES_MAX) {
        cost *c = &costs[cost_count];
        double v[4] = {0};
        if (sscanf(line, format, c->row, &v[0], &v[1], &v[2], &v[3]) > ends) {
            strcpy(c->file, name);
            c->seconds = ends == 2 ? v[0] + v[1] : v[0];
            c->least = v[ends];
            c->most = v[ends + 1];
            cost_count++;
        }
    }
    if (f)
        fclose(f);
}

/* -1: not measured */
static double ratio_of(const char *row, const char *implementation)
{
    size_t i;

    for (i = 0; i < measurement_count; i++)
        if (strcmp(measurements[i].row, row) == 0 && strcmp(measurements[i].implementation, implementation) == 0)
            return measurements[i].ratio;
    return -1;
}

/* --------------------------------------------------------------------------------------------------------------- SVG */

#define GREY "#5f6b73"
#define INK "#1f2a30"

/* Colors for a light or a dark page. */
typedef struct palette {
    const char *suffix;
    const char *ground, *ink, *grey;
    const char *ours, *other, *least;
} palette;

static const palette palettes[] = {
    {"light", "#ffffff", INK, GREY, "#0b6fa4", "#8a949a", "#c9d6dd"},
    {"dark", "#0d1117", "#e6edf3", "#9aa4ad", "#3d9bd1", "#6b757c", "#39444d"},
};

static void svg_start(FILE *f, const palette *p, int width, int height, const char *title, const char *subtitle)
{
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\"", width,
            height, width, height);
    fprintf(f, " font-family=\"sans-serif\" font-size=\"12\" fill=\"%s\">\n<title>%s</title>\n", p->ink, title);
    fprintf(f, "<rect width=\"%d\" height=\"%d\" fill=\"%s\"/>\n", width, height, p->ground);
    fprintf(f, "<text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"bold\">%s</text>\n", title);
    fprintf(f, "<text x=\"16\" y=\"45\" fill=\"%s\">%s</text>\n", p->grey, subtitle);
}

static void svg_end(FILE *f, const char *name)
{
    fprintf(f, "</svg>\n");
    if (fclose(f) != 0)
        die("cannot write", name);
}

static void svg_rect(FILE *f, double x, double y, double width, double height, const char *color)
{
    fprintf(f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, width, height, color);
}

static void svg_line(FILE *f, double x1, double y1, double x2, double y2, const char *color, const char *more)
{
    fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" %s/>\n", x1, y1, x2, y2, color, more);
}

/* anchor: start, middle or end */
static void svg_text(FILE *f, double x, double y, const char *anchor, const char *color, const char *format, ...)
{
    va_list args;

    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">", x, y, anchor, color);
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    fprintf(f, "</text>\n");
}

/* -------------------------------------------------------------------------------------------------------------- bars */

enum { BAR = 12, GROUP_GAP = 14, BARS_LEFT = 236, BARS_TOP = 84, BARS_WIDTH = 480, BARS_RIGHT = 72, GROUP_BARS_MAX = 8 };

typedef struct bar_series {
    const char *implementation, *label, *color;
} bar_series;

typedef struct bar_group {
    const char *row, *label;
} bar_group;

typedef struct bar_chart {
    const char *file, *title;
    double axis_end;         /* longer bars are cut there and say so */
    const bar_series *series;
    size_t series_count;
    const bar_group *groups;
    size_t group_count;
} bar_chart;

static const char *const limit_names[] = {"limit_fused", "limit_sum", "limit_memcpy"};

/* The series "limit" stands for whichever limit the row has. */
static double value_of(const bar_group *g, const bar_series *s)
{
    size_t i;
    double value = -1;

    if (strcmp(s->implementation, "limit") != 0)
        return ratio_of(g->row, s->implementation);
    for (i = 0; i < COUNT_OF(limit_names) && value < 0; i++)
        value = ratio_of(g->row, limit_names[i]);
    return value;
}

static size_t bars_in(const bar_chart *c, const bar_group *g)
{
    size_t i, count = 0;

    for (i = 0; i < c->series_count; i++)
        count += value_of(g, &c->series[i]) >= 0;
    return count;
}

static int series_used(const bar_chart *c, const bar_series *s)
{
    size_t i;

    for (i = 0; i < c->group_count; i++)
        if (value_of(&c->groups[i], s) >= 0)
            return 1;
    return 0;
}

static void draw_legend(FILE *f, const bar_chart *c)
{
    double x = BARS_LEFT;
    size_t i;

    for (i = 0; i < c->series_count; i++) {
        if (!series_used(c, &c->series[i]))
            continue;
        svg_rect(f, x, 57, 10, 10, c->series[i].color);
        svg_text(f, x + 15, 66, "start", INK, "%s", c->series[i].label);
        x += 32 + 6.6 * (double)strlen(c->series[i].label);
    }
}

/* With a white seam, so that they stay readable on grid lines. */
static void draw_values(FILE *f, const bar_chart *c, const bar_group *g, double y)
{
    double scale = BARS_WIDTH / c->axis_end;
    size_t i;

    fprintf(f, "<g font-size=\"10\" paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"3\">\n");
    for (i = 0; i < c->series_count; i++) {
        double value = value_of(g, &c->series[i]), end = value < c->axis_end ? value : c->axis_end;
        if (value < 0)
            continue;
        svg_text(f, BARS_LEFT + end * scale + 5, y + BAR - 3, "start", GREY, value < 10 ? "%.2f" : "%.1f", value);
        y += BAR;
    }
    fprintf(f, "</g>\n");
}

static double draw_group(FILE *f, const bar_chart *c, const bar_group *g, double y)
{
    double scale = BARS_WIDTH / c->axis_end, top = y;
    size_t i, count = bars_in(c, g);

    svg_text(f, BARS_LEFT - 10, y + (double)count * BAR / 2 + 4, "end", INK, "%s", g->label);
    for (i = 0; i < c->series_count; i++) {
        double value = value_of(g, &c->series[i]), end = value < c->axis_end ? value : c->axis_end;
        if (value < 0)
            continue;
        svg_rect(f, BARS_LEFT, y, end * scale, BAR - 2, c->series[i].color);
        if (value > c->axis_end) /* a gap: the bar goes on */
            svg_rect(f, BARS_LEFT + end * scale - 14, y - 1, 4, BAR, "#ffffff");
        y += BAR;
    }
    draw_values(f, c, g, top);
    return y;
}

static void draw_bars(const char *directory, const bar_chart *c)
{
    FILE *f = create_in(directory, c->file);
    double y = BARS_TOP, bottom = BARS_TOP, tick, scale = BARS_WIDTH / c->axis_end;
    size_t i;

    for (i = 0; i < c->group_count; i++)
        if (bars_in(c, &c->groups[i]))
            bottom += (double)bars_in(c, &c->groups[i]) * BAR + GROUP_GAP;
    svg_start(f, &palettes[0], BARS_LEFT + BARS_WIDTH + BARS_RIGHT, (int)bottom + 34, c->title,
              "time relative to memcpy of the same payload in the same run; shorter is better");
    draw_legend(f, c);
    for (tick = 0; tick <= c->axis_end; tick += c->axis_end > 4 ? 1 : 0.5) {
        double x = BARS_LEFT + tick * scale;
        svg_line(f, x, BARS_TOP - 8, x, bottom, tick == 1 ? "#90a4ae" : "#e6eaec", tick == 1 ? "stroke-dasharray=\"4 3\"" : "");
        svg_text(f, x, bottom + 16, "middle", GREY, tick == 1 ? "memcpy" : "%.1f", tick);
    }
    for (i = 0; i < c->group_count; i++)
        if (bars_in(c, &c->groups[i]))
            y = draw_group(f, c, &c->groups[i], y) + GROUP_GAP;
    svg_end(f, c->file);
}

/* ------------------------------------------------------------------------------------------------------------- lines */

enum { PLOT_LEFT = 64, PLOT_TOP = 72, PLOT_WIDTH = 560, PLOT_HEIGHT = 260, PLOT_RIGHT = 150, PLOT_BOTTOM = 52 };

typedef struct line_series {
    const char *implementation, *mode, *label, *color, *dash;
} line_series;

typedef struct line_chart {
    const char *file, *title, *subtitle, *series, *x_label;
    const line_series *lines;
    size_t line_count;
} line_chart;

static double log_2(double x)
{
    double n = 0;

    for (; x > 1; x /= 2)
        n++;
    return n;
}

static int on_line(const point *p, const line_chart *c, const line_series *l)
{
    return strcmp(p->series, c->series) == 0 && strcmp(p->implementation, l->implementation) == 0 &&
           strcmp(p->mode, l->mode) == 0;
}

static double x_end(const line_chart *c)
{
    double end = 1;
    size_t i;

    for (i = 0; i < point_count; i++)
        if (strcmp(points[i].series, c->series) == 0 && points[i].x > end)
            end = points[i].x;
    return log_2(end) > 0 ? log_2(end) : 1;
}

static double most_value(const line_chart *c)
{
    double most = 0;
    size_t i, j;

    for (i = 0; i < point_count; i++)
        for (j = 0; j < c->line_count; j++)
            if (on_line(&points[i], c, &c->lines[j]) && points[i].value > most)
                most = points[i].value;
    return most;
}

/* Of the y axis, which has up to six. */
static double y_step(const line_chart *c)
{
    static const double steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
    size_t i = 0;

    while (i + 1 < COUNT_OF(steps) && most_value(c) > 6 * steps[i])
        i++;
    return steps[i];
}

static double y_end(const line_chart *c)
{
    double end = y_step(c);

    while (end < most_value(c))
        end += y_step(c);
    return end;
}

static double y_of(const line_chart *c, double value)
{
    return PLOT_TOP + PLOT_HEIGHT * (1 - value / y_end(c));
}

static void draw_axes(FILE *f, const line_chart *c)
{
    double y, end = x_end(c);
    int n, step = end > 8 ? 2 : 1;

    for (y = 0; y <= y_end(c); y += y_step(c)) {
        svg_line(f, PLOT_LEFT, y_of(c, y), PLOT_LEFT + PLOT_WIDTH, y_of(c, y), y > 0 ? "#e6eaec" : "#90a4ae", "");
        svg_text(f, PLOT_LEFT - 8, y_of(c, y) + 4, "end", GREY, "%.0f", y);
    }
    for (n = 0; n <= (int)end; n += step)
        svg_text(f, PLOT_LEFT + PLOT_WIDTH * n / end, PLOT_TOP + PLOT_HEIGHT + 18, "middle", GREY, "%ld", 1L << n);
    svg_text(f, PLOT_LEFT + PLOT_WIDTH / 2.0, PLOT_TOP + PLOT_HEIGHT + 38, "middle", INK, "%s", c->x_label);
}

/* Labels stand at the ends of their lines, moved apart where two would touch. */
static void draw_line(FILE *f, const line_chart *c, const line_series *l, double *label_ys, size_t *labels)
{
    double last = -1, at;
    size_t i;

    fprintf(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\" points=\"", l->color, l->dash);
    for (i = 0; i < point_count; i++)
        if (on_line(&points[i], c, l)) {
            last = points[i].value;
            fprintf(f, "%.1f,%.1f ", PLOT_LEFT + PLOT_WIDTH * log_2(points[i].x) / x_end(c), y_of(c, last));
        }
    fprintf(f, "\"/>\n");
    if (last < 0)
        return;
    at = y_of(c, last) + 4;
    for (i = 0; i < *labels; i++)
        if (at < label_ys[i] + 15 && at > label_ys[i] - 15)
            at = label_ys[i] - 15;
    label_ys[(*labels)++] = at;
    svg_text(f, PLOT_LEFT + PLOT_WIDTH + 8, at, "start", l->color, "%s", l->label);
}

static void draw_lines(const char *directory, const line_chart *c)
{
    FILE *f = create_in(directory, c->file);
    double label_ys[GROUP_BARS_MAX];
    size_t i, labels = 0;

    svg_start(f, &palettes[0], PLOT_LEFT + PLOT_WIDTH + PLOT_RIGHT, PLOT_TOP + PLOT_HEIGHT + PLOT_BOTTOM, c->title,
              c->subtitle);
    draw_axes(f, c);
    for (i = 0; i < c->line_count; i++)
        draw_line(f, c, &c->lines[i], label_ys, &labels);
    svg_end(f, c->file);
}

/* ------------------------------------------------------------------------------------------------------------- costs */

enum { PANEL = 410, PANEL_LEFT = 16, PANEL_TOP = 90, PANEL_BARS = 250, STEP = 44, COST_BARS = 3 };

typedef enum { OURS, OTHER, LEAST } cost_kind;

typedef struct cost_bar {
    const char *row, *label;
    cost_kind kind;
} cost_bar;

/* One file; the longest bar of each has the same length. */
typedef struct cost_panel {
    const char *file, *title;
    cost_bar bars[COST_BARS];
} cost_panel;

static const cost_panel cost_panels[] = {
    {"e2e.csv", "Forwarder between two TUN devices",
     {{"plain", "one packet per system call", OTHER},
      {"offload", "this header: superpackets split and coalesced", OURS},
      {"pass", "superpackets passed through untouched", LEAST}}},
    {"tunnel.csv", "Tunnel over UDP, both ends",
     {{"naive", "one packet per system call", OTHER},
      {"tun_half", "this header on the TUN device only", OURS},
      {"tunnel", "this header on the TUN device and the UDP socket", OURS}}},
};

/* NULL: not measured */
static const cost *cost_of(const char *file, const char *row)
{
    size_t i;

    for (i = 0; i < cost_count; i++)
        if (strcmp(costs[i].file, file) == 0 && strcmp(costs[i].row, row) == 0)
            return &costs[i];
    return NULL;
}

static void draw_panel(FILE *f, const palette *p, const cost_panel *panel, double x)
{
    double most = 0, y = PANEL_TOP;
    size_t i;

    for (i = 0; i < COST_BARS; i++) {
        const cost *c = cost_of(panel->file, panel->bars[i].row);
        if (c && c->seconds > most)
            most = c->seconds;
    }
    fprintf(f, "<g font-size=\"14\" font-weight=\"bold\">\n");
    svg_text(f, x, PANEL_TOP - 18, "start", p->ink, "%s", panel->title);
    fprintf(f, "</g>\n");
    for (i = 0; i < COST_BARS; i++) {
        const cost_bar *bar = &panel->bars[i];
        const cost *c = cost_of(panel->file, bar->row);
        if (!c)
            continue;
        svg_text(f, x, y + 10, "start", p->grey, "%s", bar->label);
        svg_rect(f, x, y + 16, c->seconds / most * PANEL_BARS, 14,
                 bar->kind == OURS ? p->ours : bar->kind == OTHER ? p->other : p->least);
        if (c->most > 0)
            svg_text(f, x + c->seconds / most * PANEL_BARS + 6, y + 27, "start", p->ink, "%.2f <tspan fill=\"%s\">(%.2f to %.2f)</tspan>",
                     c->seconds, p->grey, c->least, c->most);
        else
            svg_text(f, x + c->seconds / most * PANEL_BARS + 6, y + 27, "start", p->ink, "%.2f", c->seconds);
        y += STEP;
    }
}

static void draw_costs(const char *directory, const palette *p)
{
    char name[NAME];
    FILE *f;
    size_t i;

    snprintf(name, sizeof name, "cost-%s.svg", p->suffix);
    f = create_in(directory, name);
    svg_start(f, p, (int)COUNT_OF(cost_panels) * PANEL + PANEL_LEFT, PANEL_TOP + COST_BARS * STEP, "What a gigabyte of TCP costs",
              "CPU seconds per gigabyte, one stream; shorter is better");
    for (i = 0; i < COUNT_OF(cost_panels); i++)
        draw_panel(f, p, &cost_panels[i], PANEL_LEFT + (double)i * PANEL);
    svg_end(f, name);
}

/* ------------------------------------------------------------------------------------------------------------ charts */

static const bar_series peers[] = {
    {"tunoffload", "tunoffload", "#0b6fa4"},
    {"dpdk", "DPDK", "#d9822b"},
    {"textbook", "textbook", "#8a949a"},
    {"plain_loop", "plain loop", "#6a994e"},
    {"limit", "limit (payload only)", "#c9d6dd"},
};

static const bar_series levels[] = {
    {"tunoffload_avx512", "AVX-512", "#08415c"}, {"tunoffload_avx2", "AVX2", "#0b6fa4"},   {"tunoffload_neon", "NEON", "#0b6fa4"},
    {"tunoffload_sse2", "SSE2", "#58a4cb"},      {"tunoffload_scalar", "scalar", "#a9d1e6"}, {"dpdk", "DPDK", "#d9822b"},
    {"textbook", "textbook", "#8a949a"},
};

static const bar_group split_groups[] = {
    {"split_tcp4_copy", "TCP/IPv4 45 x 1448, copied"},
    {"split_tcp4_iterator", "TCP/IPv4, iterator (no copy)"},
    {"split_tcp4_in_place", "TCP/IPv4, in place (no copy)"},
    {"split_tcp6_copy", "TCP/IPv6 45 x 1428, copied"},
    {"split_tcp6_iterator", "TCP/IPv6, iterator"},
    {"split_udp4_copy", "UDP/IPv4 46 x 1400, copied"},
    {"split_udp4_iterator", "UDP/IPv4, iterator"},
    {"split_udp6_copy", "UDP/IPv6 46 x 1400, copied"},
};

static const bar_group coalesce_groups[] = {
    {"gro_tcp4_1flow_verify_copy", "1 flow, verified, copied"},
    {"gro_tcp4_1flow_verify_gather", "1 flow, verified, gathered"},
    {"gro_tcp4_1flow_trust_gather", "1 flow, trusted, gathered"},
    {"gro_tcp6_1flow_verify_gather", "IPv6, verified, gathered"},
    {"gro_udp4_1flow_verify_gather", "UDP, verified, gathered"},
    {"gro_tcp4_8flows_verify_gather", "8 flows, verified, gathered"},
    {"gro_tcp4_reordered_verify_gather", "10 % reordered, verified, gathered"},
    {"gro_tcp4_128flows_verify_gather", "128 flows, nothing merges"},
    {"gro_tcp4_churn_verify_gather", "new flows in each batch"},
    {"gro_tcp4_acks_verify_gather", "128 pure ACKs (memcpy of 1 flow)"},
};

static const bar_group checksum_groups[] = {
    {"csum_64", "64 bytes"},     {"csum_256", "256 bytes"},   {"csum_576", "576 bytes"},
    {"csum_1500", "1500 bytes"}, {"csum_9000", "9000 bytes"}, {"csum_65535", "65535 bytes"},
};

static const bar_chart bar_charts[] = {
    {"split.svg", "Split a superpacket of 64 KiB, with checksums", 5, peers, COUNT_OF(peers), split_groups,
     COUNT_OF(split_groups)},
    {"coalesce.svg", "Coalesce 128 packets of 1500 bytes", 5, peers, COUNT_OF(peers), coalesce_groups,
     COUNT_OF(coalesce_groups)},
    {"checksum.svg", "Internet checksum", 4, levels, COUNT_OF(levels), checksum_groups, COUNT_OF(checksum_groups)},
};

static const line_series flow_lines[] = {
    {"tunoffload", "trust_gather", "tunoffload, trusted", "#0b6fa4", ""},
    {"tunoffload", "verify_gather", "tunoffload, verified", "#0b6fa4", "6 3"},
    {"textbook", "trust_gather", "textbook, trusted", "#8a949a", ""},
    {"dpdk", "trust_gather", "DPDK, trusted", "#d9822b", ""},
};

static const line_series batch_lines[] = {
    {"tunoffload", "trust_gather", "trusted", "#0b6fa4", ""},
    {"tunoffload", "verify_gather", "verified", "#0b6fa4", "6 3"},
};

static const line_series queue_lines[] = {
    {"tunoffload", "packets", "tuo_tun_group", "#0b6fa4", ""},
};

#define PER_PACKET "nanoseconds for each packet of 1500 bytes, gather; lower is better"

static const line_chart line_charts[] = {
    {"scaling_flows.svg", "Coalesce: from 1 to 65536 flows", PER_PACKET, "flows", "flows, in batches of 128 packets", flow_lines,
     COUNT_OF(flow_lines)},
    {"scaling_batch.svg", "Coalesce: from 1 to 128 packets in a batch", PER_PACKET, "batch", "packets of one flow in a batch", batch_lines,
     COUNT_OF(batch_lines)},
    {"scaling_queues.svg", "A queue and a thread for each processor", "millions of packets a second, written and read back; higher is better",
     "queues", "queues", queue_lines, COUNT_OF(queue_lines)},
};

int main(int argc, char **argv)
{
    size_t i;

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: plot DIRECTORY [DIRECTORY]\n");
        return 2;
    }
    elsewhere = argv[2];
    read_measurements(argv[1]);
    read_points(argv[1]);
    read_queues(argv[1]);
    read_costs(argv[1], "e2e.csv", 1, "%47[^,],1,%*f,%lf,%*f,%*f,%*f,%*f,%lf,%lf");
    read_costs(argv[1], "tunnel.csv", 2, "%47[^,],tcp,1,%*f,%lf,%lf,%*f,%*f,%lf,%lf");
    for (i = 0; i < COUNT_OF(bar_charts) && measurement_count; i++)
        draw_bars(argv[1], &bar_charts[i]);
    for (i = 0; i < COUNT_OF(line_charts); i++)
        if (most_value(&line_charts[i]) > 0)
            draw_lines(argv[1], &line_charts[i]);
    for (i = 0; i < COUNT_OF(palettes) && cost_count; i++)
        draw_costs(argv[1], &palettes[i]);
    return 0;
}
