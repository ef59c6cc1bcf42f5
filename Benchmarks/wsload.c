// wsload: a load generator for notification gateways, WebSocket or server-sent events, in one file.
//
//   gcc -O2 -std=c11 -Wall -Wextra -o wsload wsload.c
//   ./wsload --help
//
// It opens N WebSocket clients, publishes through Redis, HTTP, raw TCP or one of the clients, and
// measures the result: lost, duplicated and reordered messages, latency, and the server's CPU time
// and memory. It knows no server's protocol: what the clients send after the upgrade, and what they
// wait for, are options.
//
// Phases, always in this order, each optional but the first:
//   connect  open the clients, run each one's script (--send, --wait), settle, measure the server's memory
//   idle     watch the idle server
//   fanout   publish at a rate (or --ramp the rate up until the server falls behind), then drain
//   churn    disconnect and reconnect clients at a rate
//
// Where the machine's speed varies (a shared VM), use wsload_cpu_ns_per_delivery as the yardstick:
// wsload's work is the same each time, so compare servers by the ratio of their cost to its own.
//
// One thread, one epoll set. Loopback addresses only. Every phase is bounded in time, and so is
// the whole run (--max-time).

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000ull
#define MS 1000000ull

enum { MAX_TARGETS = 16, MAX_STEPS = 32, MAX_HEADERS = 16, MAX_GROUPS = 8, MAX_PIDS = 16,
       MAX_HTTP_CONNS = 64, CLIENTS_PER_SOURCE = 20000, EVENTS_PER_POLL = 256 };

// ---------------------------------------------------------------- small tools

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("wsload: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

static uint64_t random_state = 0x9e3779b97f4a7c15ull;

static uint64_t random_u64(void) // xorshift64*
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dull;
}

typedef struct {
    char *data;
    size_t len, cap;
} Buf;

static void buf_reserve(Buf *b, size_t extra)
{
    if (b->len + extra <= b->cap)
        return;
    size_t cap = b->cap ? b->cap : 256;
    while (cap < b->len + extra)
        cap *= 2;
    b->data = realloc(b->data, cap);
    if (!b->data)
        die("out of memory");
    b->cap = cap;
}

static void buf_add(Buf *b, const void *data, size_t len)
{
    if (!len)
        return;
    buf_reserve(b, len);
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

__attribute__((format(printf, 2, 3))) static void buf_printf(Buf *b, const char *format, ...)
{
    va_list args;
    char text[512];
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text)
        die("text too long");
    buf_add(b, text, (size_t)n);
}

static void buf_drop(Buf *b, size_t n) // forget the first n bytes
{
    b->len -= n;
    if (b->len)
        memmove(b->data, b->data + n, b->len);
}

static void buf_free(Buf *b)
{
    free(b->data);
    *b = (Buf){0};
}

// ---------------------------------------------------------------- templates

typedef struct {
    const char *data;
    size_t len;
} Text;

typedef struct { // the values of {i} {u} {seq} {ts} {payload} {len}
    uint64_t i, u, seq, ts;
    Text payload;
} Vars;

// C escapes in an option's value: \r \n \t \0 \\ \xHH.
static Text unescape(const char *s)
{
    char *out = malloc(strlen(s) + 1);
    size_t n = 0;
    for (; *s; s++) {
        if (*s != '\\' || !s[1]) {
            out[n++] = *s;
            continue;
        }
        switch (*++s) {
        case 'r': out[n++] = '\r'; break;
        case 'n': out[n++] = '\n'; break;
        case 't': out[n++] = '\t'; break;
        case '0': out[n++] = '\0'; break;
        case '\\': out[n++] = '\\'; break;
        case 'x': {
            char hex[3] = {s[1], s[1] ? s[2] : '\0', '\0'}, *end;
            out[n++] = (char)strtoul(hex, &end, 16);
            if (end != hex + 2)
                die("\\x needs two hex digits");
            s += 2;
            break;
        }
        default: out[n++] = '\\', out[n++] = *s;
        }
    }
    out[n] = '\0';
    return (Text){out, n};
}

static bool number_named(const char *name, size_t len, const Vars *v, uint64_t *value)
{
    static const char *const names[] = {"i", "u", "seq", "ts", "len"};
    const uint64_t values[] = {v->i, v->u, v->seq, v->ts, v->payload.len};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (strlen(names[k]) == len && !memcmp(names[k], name, len)) {
            *value = values[k];
            return true;
        }
    return false;
}

// Appends the template with {name} and {name:WIDTH} (zero padded) replaced; other braces stay.
static void expand(Buf *out, Text t, const Vars *v)
{
    const char *p = t.data, *end = t.data + t.len;
    while (p < end) {
        const char *open = memchr(p, '{', (size_t)(end - p));
        if (!open)
            break;
        buf_add(out, p, (size_t)(open - p));
        p = open;
        const char *q = open + 1;
        while (q < end && islower((unsigned char)*q))
            q++;
        size_t name_len = (size_t)(q - open - 1);
        int width = 0;
        if (q < end && *q == ':')
            for (q++; q < end && isdigit((unsigned char)*q) && width < 30; q++)
                width = width * 10 + (*q - '0');
        uint64_t value;
        if (q < end && *q == '}' && number_named(open + 1, name_len, v, &value)) {
            buf_printf(out, "%0*llu", width, (unsigned long long)value);
            p = q + 1;
        } else if (q < end && *q == '}' && name_len == 7 && !memcmp(open + 1, "payload", 7)) {
            buf_add(out, v->payload.data, v->payload.len);
            p = q + 1;
        } else {
            buf_add(out, p++, 1);
        }
    }
    buf_add(out, p, (size_t)(end - p));
}

static bool uses_user(Text t)
{
    return memmem(t.data, t.len, "{u}", 3) || memmem(t.data, t.len, "{u:", 3);
}

// ---------------------------------------------------------------- latency histogram

// Buckets grow by powers of two, each cut in 64: a value is known to better than 1.6 %.
enum { SUB_BITS = 6, SUB = 1 << SUB_BITS, BUCKETS = 64 * SUB };

typedef struct {
    uint64_t counts[BUCKETS], total, max;
} Hist;

static unsigned hist_index(uint64_t v)
{
    if (v < SUB)
        return (unsigned)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - SUB_BITS;
    return (shift + 1) * SUB + (unsigned)((v >> shift) - SUB);
}

static void hist_add(Hist *h, uint64_t v)
{
    h->counts[hist_index(v)]++;
    h->total++;
    if (v > h->max)
        h->max = v;
}

static double hist_ms(const Hist *h, double quantile)
{
    uint64_t rank = (uint64_t)(quantile * (double)h->total), seen = 0;
    for (unsigned k = 0; k < BUCKETS; k++) {
        seen += h->counts[k];
        if (seen > rank || (seen && seen == h->total)) {
            unsigned shift = k < SUB ? 0 : k / SUB - 1;
            uint64_t top = k < SUB ? k : (((uint64_t)(k % SUB) + SUB + 1) << shift) - 1;
            return (double)(top < h->max ? top : h->max) / MS;
        }
    }
    return 0;
}

// ---------------------------------------------------------------- the watched processes

typedef struct {
    char name[24];
    int pids[MAX_PIDS], pid_count;
} Group;

typedef struct {
    double cpu_ns, user_ns, system_ns; // user and system come in clock ticks of 10 ms
    double rss, pss;                   // bytes
} Sample;

static double threads_cpu_ns(int pid) // in nanoseconds, but only of threads that are alive
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    double sum = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        unsigned long long ns;
        char file[352];
        snprintf(file, sizeof file, "/proc/%d/task/%s/schedstat", pid, e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(file, "r");
        if (f) {
            if (fscanf(f, "%llu", &ns) == 1)
                sum += (double)ns;
            fclose(f);
        }
    }
    if (dir)
        closedir(dir);
    return sum;
}

static void sample_pid(int pid, Sample *s, bool memory)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f || !fgets(line, sizeof line, f))
        die("no process %d to watch (has the server died?)", pid);
    fclose(f);
    unsigned long long utime = 0, stime = 0; // fields 14 and 15; the name before them may hold spaces
    sscanf(strrchr(line, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &utime,
           &stime);
    double tick = (double)NS / (double)sysconf(_SC_CLK_TCK);
    double total = (double)(utime + stime) * tick, threads = threads_cpu_ns(pid);
    s->user_ns += (double)utime * tick;
    s->system_ns += (double)stime * tick;
    s->cpu_ns += threads > total ? threads : total;
    if (!memory)
        return;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        unsigned long long kb;
        if (sscanf(line, "Rss: %llu", &kb) == 1)
            s->rss += (double)kb * 1024;
        if (sscanf(line, "Pss: %llu", &kb) == 1)
            s->pss += (double)kb * 1024;
    }
    if (f)
        fclose(f);
}

static Sample sample_group(const Group *g, bool memory)
{
    Sample s = {0};
    for (int k = 0; k < g->pid_count; k++)
        sample_pid(g->pids[k], &s, memory);
    return s;
}

// ---------------------------------------------------------------- options and global state

typedef enum { STEP_TEXT, STEP_BINARY, STEP_WAIT } StepKind;
typedef enum { PUB_NONE, PUB_REDIS, PUB_HTTP, PUB_TCP, PUB_WS, PUB_COMMAND } PubKind;

typedef struct {
    StepKind kind;
    Text text;
} Step;

static struct {
    struct sockaddr_in targets[MAX_TARGETS];
    char target_names[MAX_TARGETS][32];
    int target_count, clients, window, header_count, step_count, group_count, redis_db, http_conns;
    double connect_rate, connect_timeout, handshake_timeout, settle, idle, rate, duration, drain;
    double churn, churn_for, max_time, ramp_start, ramp_factor, ramp_step, ramp_p99;
    uint64_t messages, size, users, expect_per_client;
    Text path, headers[MAX_HEADERS], subprotocol, reply_to, reply;
    Step steps[MAX_STEPS];
    Group groups[MAX_GROUPS];
    PubKind publisher;
    struct sockaddr_in pub_address;
    char pub_host[32];
    Text pub_template, pub_hello, http_path, http_headers;
    const char *pub_command;
    bool reply_binary, ws_binary, json, quiet, sse;
    const char *label;
} opt = {.path = {"/", 1}, .clients = 100, .window = 64, .http_conns = 8, .connect_timeout = 120,
         .handshake_timeout = 15, .settle = 1, .drain = 5, .size = 64, .max_time = 600,
         .ramp_factor = 1.3, .ramp_step = 3, .ramp_p99 = 250};

typedef enum { SOURCE_CLIENT, SOURCE_PUBLISHER } SourceKind;
typedef enum { IDLE, CONNECTING, HANDSHAKE, SCRIPT, READY, CLOSING } State;

typedef struct {
    SourceKind kind; // first, so that an epoll event can tell what it points to
    int fd;
    State state;
    bool want_write;
    uint8_t fragment_opcode;
    uint16_t step;
    uint32_t index, user;
    uint64_t since;            // when this state's clock started
    uint64_t last_seq, window; // the last 64 sequence numbers seen, newest in bit 0
    Buf in, message, out;
} Client;

typedef struct {
    SourceKind kind;
    int fd;
    bool want_write, busy;
    Buf in, out;
} PubConn;

static Client *clients;
static uint32_t *ready_in; // ready clients of each user
static uint64_t user_count = 1;
static int epoll_fd;
static PubConn pubs[MAX_HTTP_CONNS];
static int pub_count;
static Text redis_args[64];
static int redis_arg_count;
static uint64_t run_deadline;
static volatile sig_atomic_t interrupted;
static Buf scratch; // one read buffer for all

static struct {
    uint64_t opened, failed, live, ready, pending, attempts;
    uint64_t frames, bytes, pings, delivered, stale, duplicates, reordered, other, protocol_errors;
    uint64_t closes, closed_without_frame, publish_errors, published, expected;
    uint64_t close_codes[5000];
    uint64_t seq, first_seq; // the next to send; the first of this step
    char first_failure[160], first_publish_error[160];
    Hist latency, connecting;
} g;

static bool out_of_time(uint64_t now)
{
    return interrupted || now >= run_deadline;
}

static void progress(const char *format, ...)
{
    if (opt.quiet)
        return;
    va_list args;
    va_start(args, format);
    fputs("# ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

// ---------------------------------------------------------------- results

typedef struct {
    char phase[24], key[48];
    double value;
    char text[160]; // instead of a number, when not empty
} Result;

static Result *results;
static size_t result_count;

static Result *result_new(const char *phase, const char *key)
{
    results = realloc(results, (result_count + 1) * sizeof *results);
    if (!results)
        die("out of memory");
    Result *r = &results[result_count++];
    *r = (Result){0};
    snprintf(r->phase, sizeof r->phase, "%s", phase);
    snprintf(r->key, sizeof r->key, "%s", key);
    return r;
}

static void record(const char *phase, const char *key, double value)
{
    result_new(phase, key)->value = value;
}

static void record_text(const char *phase, const char *key, const char *text)
{
    Result *r = result_new(phase, key);
    for (size_t k = 0; text[k] && k + 1 < sizeof r->text; k++)
        r->text[k] = (unsigned char)text[k] < ' ' || strchr("\"\\", text[k]) ? ' ' : text[k];
}

static void record_for(const char *phase, const Group *group, const char *key, double value)
{
    char name[80];
    snprintf(name, sizeof name, "%s_%s", group->name, key);
    record(phase, name, value);
}

static void record_latency(const char *phase, const char *prefix, const Hist *h)
{
    static const struct { const char *name; double quantile; } points[] = {
        {"p50_ms", .5}, {"p90_ms", .9}, {"p99_ms", .99}, {"p999_ms", .999}, {"max_ms", 1}};
    for (size_t k = 0; k < sizeof points / sizeof *points; k++) {
        char name[48];
        snprintf(name, sizeof name, "%s%s", prefix, points[k].name);
        record(phase, name, hist_ms(h, points[k].quantile));
    }
}

static void print_value(const Result *r)
{
    if (r->text[0])
        printf(opt.json ? "\"%s\"" : "%s", r->text);
    else if (r->value >= 1000 || r->value <= -1000 || r->value == (double)(long long)r->value)
        printf("%.0f", r->value);
    else
        printf("%.4g", r->value);
}

static void print_results(void)
{
    const char *phase = "";
    if (opt.json)
        fputs("{", stdout);
    for (size_t k = 0; k < result_count; k++) {
        const Result *r = &results[k];
        bool fresh = strcmp(phase, r->phase);
        phase = r->phase;
        if (opt.json) {
            if (fresh)
                printf("%s\"%s\":{", k ? "}," : "", phase);
            printf("%s\"%s\":", fresh ? "" : ",", r->key);
        } else {
            if (fresh)
                printf("%s:\n", phase);
            printf("  %-36s ", r->key);
        }
        print_value(r);
        if (!opt.json)
            putchar('\n');
    }
    if (opt.json)
        puts(result_count ? "}}" : "}");
}

// ---------------------------------------------------------------- sockets

static struct sockaddr_in parse_address(const char *text, char name[32])
{
    char host[24] = "";
    int port = 0;
    if (sscanf(text, "%23[^:]:%d", host, &port) != 2 || port < 1 || port > 65535)
        die("'%s' is not host:port", text);
    if (!strcmp(host, "localhost"))
        strcpy(host, "127.0.0.1");
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || (ntohl(a.sin_addr.s_addr) >> 24) != 127)
        die("'%s': only loopback addresses (127.x.x.x) may be loaded", text);
    snprintf(name, 32, "%s:%d", host, port);
    return a;
}

static void watch(int fd, void *source, bool writing, bool fresh)
{
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = source};
    if (epoll_ctl(epoll_fd, fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e))
        die("epoll_ctl: %s", strerror(errno));
}

// Sends as much of data as possible and queues the rest. False: the connection is broken.
static bool send_or_keep(int fd, Buf *out, const void *data, size_t len)
{
    ssize_t n = 0;
    if (!out->len) {
        n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            if (errno != EAGAIN)
                return false;
            n = 0;
        }
    }
    buf_add(out, (const char *)data + n, len - (size_t)n);
    return true;
}

static bool flush_kept(int fd, Buf *out)
{
    ssize_t n = send(fd, out->data, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN;
    buf_drop(out, (size_t)n);
    return true;
}

// ---------------------------------------------------------------- clients: leaving

static void set_state(Client *c, State state)
{
    if (c->state == READY) {
        g.ready--;
        ready_in[c->user]--;
    }
    if (state == READY) {
        g.ready++;
        ready_in[c->user]++;
    }
    bool was_pending = c->state == CONNECTING || c->state == HANDSHAKE || c->state == SCRIPT;
    bool is_pending = state == CONNECTING || state == HANDSHAKE || state == SCRIPT;
    g.pending += (uint64_t)is_pending - (uint64_t)was_pending;
    g.live += (uint64_t)(state != IDLE) - (uint64_t)(c->state != IDLE);
    c->state = state;
}

static void client_drop(Client *c)
{
    close(c->fd);
    c->fd = -1;
    buf_free(&c->in);
    buf_free(&c->message);
    buf_free(&c->out);
    c->want_write = false;
    set_state(c, IDLE);
}

static void client_failed(Client *c, const char *why)
{
    if (c->state == READY) {
        g.closed_without_frame++;
    } else if (c->state != CLOSING) {
        g.failed++;
        if (!g.first_failure[0])
            snprintf(g.first_failure, sizeof g.first_failure, "%s", why);
    }
    client_drop(c);
}

// ---------------------------------------------------------------- clients: sending

static void client_write(Client *c, const void *data, size_t len)
{
    if (!send_or_keep(c->fd, &c->out, data, len)) {
        client_failed(c, strerror(errno));
        return;
    }
    if (c->out.len && !c->want_write) {
        c->want_write = true;
        watch(c->fd, c, true, false);
    }
}

static void client_send_frame(Client *c, uint8_t opcode, const void *data, size_t len)
{
    static Buf frame;
    uint8_t head[14] = {0x80 | opcode};
    size_t head_len = 2;
    if (len < 126) {
        head[1] = 0x80 | (uint8_t)len;
    } else if (len < 65536) {
        head[1] = 0x80 | 126;
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
        head_len = 4;
    } else {
        head[1] = 0x80 | 127;
        for (int k = 0; k < 8; k++)
            head[2 + k] = (uint8_t)((uint64_t)len >> (56 - 8 * k));
        head_len = 10;
    }
    uint32_t mask = (uint32_t)random_u64();
    memcpy(head + head_len, &mask, 4);
    const uint8_t *key = head + head_len;
    frame.len = 0;
    buf_add(&frame, head, head_len + 4);
    buf_add(&frame, data, len);
    char *body = frame.data + head_len + 4;
    for (size_t k = 0; k < len; k++)
        body[k] ^= (char)key[k & 3];
    client_write(c, frame.data, frame.len);
}

// Runs the client's script up to its next wait.
static void client_advance(Client *c)
{
    static Buf text;
    while (c->state == SCRIPT && c->step < opt.step_count) {
        const Step *s = &opt.steps[c->step];
        if (s->kind == STEP_WAIT)
            return;
        text.len = 0;
        expand(&text, s->text, &(Vars){.i = c->index, .u = c->user});
        c->step++;
        client_send_frame(c, s->kind == STEP_TEXT ? 1 : 2, text.data, text.len);
    }
    if (c->state == SCRIPT) {
        hist_add(&g.connecting, now_ns() - c->since);
        g.opened++;
        set_state(c, READY);
    }
}

static void client_connect(Client *c)
{
    const struct sockaddr_in *target = &opt.targets[c->index % (uint32_t)opt.target_count];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    uint32_t sources = (uint32_t)(opt.clients / CLIENTS_PER_SOURCE) + 4;
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(0x7f000002u + c->index % sources)};
    if (bind(fd, (struct sockaddr *)&from, sizeof from))
        die("bind: %s", strerror(errno));
    c->fd = fd;
    c->step = 0;
    c->last_seq = c->window = 0;
    c->since = now_ns();
    g.attempts++;
    set_state(c, CONNECTING);
    if (connect(fd, (const struct sockaddr *)target, sizeof *target) && errno != EINPROGRESS) {
        client_failed(c, strerror(errno));
        return;
    }
    c->want_write = true;
    watch(fd, c, true, true);
}

// The key is the RFC's own sample: a server can't tell, and its answer is known.
static const char websocket_headers[] =
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

static void client_send_handshake(Client *c)
{
    static Buf request;
    const Vars vars = {.i = c->index, .u = c->user};
    request.len = 0;
    buf_printf(&request, "GET ");
    expand(&request, opt.path, &vars);
    buf_printf(&request,
               " HTTP/1.1\r\nHost: %s\r\n%s", opt.target_names[c->index % (uint32_t)opt.target_count],
               opt.sse ? "Accept: text/event-stream\r\n" : websocket_headers);
    if (opt.subprotocol.len)
        buf_printf(&request, "Sec-WebSocket-Protocol: %s\r\n", opt.subprotocol.data);
    for (int k = 0; k < opt.header_count; k++) {
        expand(&request, opt.headers[k], &vars);
        buf_add(&request, "\r\n", 2);
    }
    buf_add(&request, "\r\n", 2);
    set_state(c, HANDSHAKE);
    client_write(c, request.data, request.len);
}

// ---------------------------------------------------------------- clients: receiving

static void deliver(Client *c, uint64_t now, uint64_t ts, uint64_t seq)
{
    if (seq && seq < g.first_seq) {
        g.stale++;
        return;
    }
    g.delivered++;
    hist_add(&g.latency, now > ts ? now - ts : 0);
    if (!seq)
        return;
    if (seq > c->last_seq) {
        uint64_t step = seq - c->last_seq;
        c->window = step < 64 ? c->window << step | 1 : 1;
        c->last_seq = seq;
    } else if (c->last_seq - seq < 64 && c->window >> (c->last_seq - seq) & 1) {
        g.duplicates++;
        g.delivered--;
    } else {
        g.reordered++;
        if (c->last_seq - seq < 64)
            c->window |= 1ull << (c->last_seq - seq);
    }
}

static const char *digits(const char *p, const char *end, uint64_t *value)
{
    uint64_t v = 0;
    for (; p < end && isdigit((unsigned char)*p); p++)
        v = v * 10 + (uint64_t)(*p - '0');
    *value = v;
    return p;
}

// Finds every marker in a message: ts, then : or =, then nanoseconds, and seq right after it. The
// quotes round the names may be escaped, for brokers that wrap a payload in a JSON string.
static bool scan_markers(Client *c, uint64_t now, const char *p, const char *end)
{
    bool found = false;
    while ((p = memchr(p, 't', (size_t)(end - p))) && end - p > 8) {
        if (*++p != 's')
            continue;
        const char *q = p + 1;
        while (q < end && (*q == '"' || *q == '\\'))
            q++;
        if (q == end || (*q != ':' && *q != '='))
            continue;
        const char *start = ++q;
        uint64_t ts, seq = 0;
        q = digits(q, end, &ts);
        if (q - start < 6)
            continue;
        const char *s = q;
        while (s < end && s < q + 8 && !isalnum((unsigned char)*s))
            s++;
        if (end - s > 4 && !memcmp(s, "seq", 3)) {
            for (s += 3; s < end && !isdigit((unsigned char)*s);)
                s++;
            q = digits(s, end, &seq);
        }
        deliver(c, now, ts, seq);
        found = true;
        p = q;
    }
    return found;
}

// Answers each line of a message that needs a reply: a server may send its ping along with other lines.
static void answer_lines(Client *c, const char *p, const char *end)
{
    while (p && p < end && c->fd >= 0) {
        if ((size_t)(end - p) >= opt.reply_to.len && !memcmp(p, opt.reply_to.data, opt.reply_to.len))
            client_send_frame(c, opt.reply_binary ? 2 : 1, opt.reply.data, opt.reply.len);
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
}

static void on_message(Client *c, const char *data, size_t len)
{
    if (opt.reply.len)
        answer_lines(c, data, data + len);
    if (c->fd < 0 || scan_markers(c, now_ns(), data, data + len))
        return;
    g.other++;
    while (c->state == SCRIPT && c->step < opt.step_count) {
        Text wanted = opt.steps[c->step].text;
        if (opt.steps[c->step].kind != STEP_WAIT || !memmem(data, len, wanted.data, wanted.len))
            return;
        c->step++;
        client_advance(c);
    }
}

static void on_close_frame(Client *c, const uint8_t *data, size_t len)
{
    unsigned code = len >= 2 ? (unsigned)data[0] << 8 | data[1] : 1005;
    if (c->state == CLOSING)
        return; // the answer to ours: the end of the stream follows
    g.closes++;
    g.close_codes[code < 5000 ? code : 0]++;
    if (c->state != READY) {
        char why[64];
        snprintf(why, sizeof why, "closed with code %u before it was ready", code);
        client_failed(c, why);
        return;
    }
    client_send_frame(c, 8, data, len);
    if (c->fd >= 0) {
        set_state(c, CLOSING);
        c->since = now_ns();
    }
}

static void on_frame(Client *c, bool fin, uint8_t opcode, const char *data, size_t len)
{
    g.frames++;
    switch (opcode) {
    case 0:
        if (!c->fragment_opcode)
            g.protocol_errors++;
        buf_add(&c->message, data, len);
        if (fin) {
            c->fragment_opcode = 0;
            on_message(c, c->message.data, c->message.len);
            c->message.len = 0;
        }
        break;
    case 1:
    case 2:
        if (fin) {
            on_message(c, data, len);
        } else {
            c->fragment_opcode = opcode;
            c->message.len = 0;
            buf_add(&c->message, data, len);
        }
        break;
    case 8: on_close_frame(c, (const uint8_t *)data, len); break;
    case 9:
        g.pings++;
        client_send_frame(c, 10, data, len);
        break;
    case 10: break;
    default: g.protocol_errors++;
    }
}

// Consumes the complete frames at the front of data; returns their length in bytes.
static size_t take_frames(Client *c, const char *data, size_t len)
{
    size_t at = 0;
    while (c->fd >= 0 && len - at >= 2) {
        const uint8_t *h = (const uint8_t *)data + at;
        size_t head = 2;
        uint64_t size = h[1] & 127;
        if (h[1] & 0x80 || h[0] & 0x70)
            g.protocol_errors++; // masked by a server, or an extension nobody asked for
        if (size == 126) {
            head = 4;
            if (len - at < head)
                break;
            size = (uint64_t)h[2] << 8 | h[3];
        } else if (size == 127) {
            head = 10;
            if (len - at < head)
                break;
            size = 0;
            for (int k = 0; k < 8; k++)
                size = size << 8 | h[2 + k];
            if (size > 1ull << 30) {
                client_failed(c, "a frame of more than 1 GiB");
                return len;
            }
        }
        if (len - at < head + size)
            break;
        on_frame(c, h[0] & 0x80, h[0] & 15, data + at + head, size);
        at += head + size;
    }
    return at;
}

// The same for a stream of server-sent events: whole blocks, each ended by an empty line. Lines that are no data
// (ids, comments, a chunk's length) hold no marker.
static size_t take_events(Client *c, const char *data, size_t len)
{
    size_t at = 0;
    const char *end;
    while (c->fd >= 0 && (end = memmem(data + at, len - at, "\n\n", 2))) {
        g.frames++;
        on_message(c, data + at, (size_t)(end - data) - at);
        at = (size_t)(end + 2 - data);
    }
    return at;
}

static size_t take_handshake(Client *c, const char *data, size_t len)
{
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end + 4 - data);
    if (len < 12 || memcmp(data, opt.sse ? "HTTP/1.1 200" : "HTTP/1.1 101", 12) ||
        (!opt.sse && !memmem(data, head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28))) {
        char why[160];
        snprintf(why, sizeof why, "handshake refused: %.*s", (int)(len < 120 ? len : 120), data);
        client_failed(c, why);
        return len;
    }
    set_state(c, SCRIPT);
    client_advance(c);
    return head;
}

static void client_read(Client *c)
{
    size_t have = c->in.len;
    scratch.len = 0;
    buf_reserve(&scratch, have + (256 << 10));
    memcpy(scratch.data, c->in.data ? c->in.data : "", have);
    ssize_t n = recv(c->fd, scratch.data + have, scratch.cap - have, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            client_failed(c, n ? strerror(errno) : "closed by the server before it was ready");
        return;
    }
    g.bytes += (uint64_t)n;
    size_t len = have + (size_t)n, used = 0;
    if (c->state == HANDSHAKE)
        used = take_handshake(c, scratch.data, len);
    if (c->fd >= 0 && c->state != HANDSHAKE)
        used += (opt.sse ? take_events : take_frames)(c, scratch.data + used, len - used);
    if (c->fd < 0)
        return;
    c->in.len = 0;
    buf_add(&c->in, scratch.data + used, len - used);
}

static void client_event(Client *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    if (c->state == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            client_failed(c, strerror(error));
            return;
        }
        client_send_handshake(c);
    } else if (events & EPOLLOUT && c->out.len && !flush_kept(c->fd, &c->out)) {
        client_failed(c, strerror(errno));
    }
    if (c->fd >= 0 && c->want_write && !c->out.len) {
        c->want_write = false;
        watch(c->fd, c, false, false);
    }
    if (c->fd >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        client_read(c);
}

// ---------------------------------------------------------------- publishers

static void publish_error(const char *data, size_t len)
{
    g.publish_errors++;
    if (!g.first_publish_error[0])
        snprintf(g.first_publish_error, sizeof g.first_publish_error, "%.*s", (int)len, data);
}

static void pub_write(PubConn *p, const void *data, size_t len)
{
    if (!send_or_keep(p->fd, &p->out, data, len))
        die("the publisher's connection broke: %s", strerror(errno));
    if (p->out.len && !p->want_write) {
        p->want_write = true;
        watch(p->fd, p, true, false);
    }
}

static void pub_open(PubConn *p)
{
    int one = 1;
    p->kind = SOURCE_PUBLISHER;
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&opt.pub_address, sizeof opt.pub_address))
        die("the publisher can't connect to %s: %s", opt.pub_host, strerror(errno));
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(p->fd, F_SETFL, O_NONBLOCK);
    watch(p->fd, p, false, true);
}

static void redis_send(PubConn *p, const Text *args, int count, const Vars *vars)
{
    static Buf command, arg;
    command.len = 0;
    buf_printf(&command, "*%d\r\n", count);
    for (int k = 0; k < count; k++) {
        arg.len = 0;
        expand(&arg, args[k], vars);
        buf_printf(&command, "$%zu\r\n", arg.len);
        buf_add(&command, arg.data, arg.len);
        buf_add(&command, "\r\n", 2);
    }
    pub_write(p, command.data, command.len);
}

static void publisher_start(void)
{
    if (opt.publisher == PUB_NONE || opt.publisher == PUB_WS || opt.publisher == PUB_COMMAND)
        return;
    pub_count = opt.publisher == PUB_HTTP ? opt.http_conns : 1;
    for (int k = 0; k < pub_count; k++)
        pub_open(&pubs[k]);
    if (opt.publisher == PUB_TCP && opt.pub_hello.len)
        pub_write(&pubs[0], opt.pub_hello.data, opt.pub_hello.len);
    if (opt.publisher == PUB_REDIS) {
        char *copy = strdup(opt.pub_template.data), *save = NULL;
        for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
            if (redis_arg_count == (int)(sizeof redis_args / sizeof *redis_args))
                die("too many arguments in --redis-cmd");
            redis_args[redis_arg_count++] = unescape(s);
        }
        if (opt.redis_db)
            redis_send(&pubs[0], (Text[]){{"SELECT", 6}, {"{u}", 3}}, 2,
                       &(Vars){.u = (uint64_t)opt.redis_db});
    }
}

// Consumes a complete HTTP response at the front; a connection has at most one request in flight.
static void http_read(PubConn *p)
{
    char *end = memmem(p->in.data, p->in.len, "\r\n\r\n", 4);
    if (!end)
        return;
    size_t total = (size_t)(end + 4 - p->in.data);
    end[2] = '\0'; // ends the headers as a string
    const char *length = strcasestr(p->in.data, "\r\ncontent-length:");
    bool chunked = strcasestr(p->in.data, "\r\ntransfer-encoding: chunked");
    end[2] = '\r';
    if (chunked) {
        const char *last = memmem(end, p->in.len - (size_t)(end - p->in.data), "\r\n0\r\n\r\n", 7);
        if (!last)
            return;
        total = (size_t)(last + 7 - p->in.data);
    } else if (length) {
        total += strtoul(length + 17, NULL, 10);
    }
    if (p->in.len < total)
        return;
    if (p->in.data[9] != '2')
        publish_error(p->in.data, p->in.len < 100 ? p->in.len : 100);
    buf_drop(&p->in, total);
    p->busy = false;
}

static void pub_event(PubConn *p, uint32_t events)
{
    if (events & EPOLLOUT && p->out.len && !flush_kept(p->fd, &p->out))
        die("the publisher's connection broke: %s", strerror(errno));
    if (p->want_write && !p->out.len) {
        p->want_write = false;
        watch(p->fd, p, false, false);
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    buf_reserve(&p->in, 64 << 10);
    ssize_t n = recv(p->fd, p->in.data + p->in.len, p->in.cap - p->in.len - 1, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        if (opt.publisher != PUB_HTTP)
            die("the publisher's connection was closed");
        close(p->fd); // a server may end a keep-alive connection; a request in flight is an error
        if (p->busy)
            publish_error("connection closed", 17);
        p->busy = false;
        p->in.len = p->out.len = 0;
        p->want_write = false;
        pub_open(p);
        return;
    }
    p->in.len += (size_t)n;
    if (opt.publisher == PUB_HTTP) {
        http_read(p);
        return;
    }
    if (opt.publisher == PUB_REDIS) {
        const char *bad = p->in.data[0] == '-' ? p->in.data : memmem(p->in.data, p->in.len, "\r\n-", 3);
        if (bad)
            publish_error(bad, strcspn(bad + 1, "\r") < 100 ? strcspn(bad + 1, "\r") + 1 : 100);
    }
    p->in.len = 0;
}

// {"ts":..,"seq":..,"p":"xxx"}, padded to --size bytes.
static void make_payload(Buf *b, uint64_t ts, uint64_t seq)
{
    b->len = 0;
    buf_printf(b, "{\"ts\":%llu,\"seq\":%llu,\"p\":\"", (unsigned long long)ts,
               (unsigned long long)seq);
    while (b->len + 2 < opt.size)
        buf_add(b, "xxxxxxxxxxxxxxxx", opt.size - 2 - b->len < 16 ? opt.size - 2 - b->len : 16);
    buf_add(b, "\"}", 2);
}

static Client *a_ready_client(void)
{
    for (int k = 0; k < opt.clients; k++)
        if (clients[k].state == READY)
            return &clients[k];
    return NULL;
}

// Publishes one message that was due at the given time. False: every connection is busy.
static bool publish(uint64_t due)
{
    static Buf payload, text;
    PubConn *p = NULL;
    for (int k = 0; k < pub_count && !p; k++)
        if (!pubs[k].busy)
            p = &pubs[k];
    if (pub_count && !p)
        return false;
    make_payload(&payload, due, g.seq);
    Vars vars = {.u = user_count > 1 ? random_u64() % user_count : 0, .seq = g.seq, .ts = due,
                 .payload = {payload.data, payload.len}};
    text.len = 0;
    switch (opt.publisher) {
    case PUB_REDIS: redis_send(p, redis_args, redis_arg_count, &vars); break;
    case PUB_TCP:
        expand(&text, opt.pub_template, &vars);
        pub_write(p, text.data, text.len);
        break;
    case PUB_HTTP: {
        static Buf body;
        body.len = 0;
        expand(&body, opt.pub_template, &vars);
        buf_printf(&text, "POST ");
        expand(&text, opt.http_path, &vars);
        buf_printf(&text, " HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n", opt.pub_host, body.len);
        buf_add(&text, opt.http_headers.data, opt.http_headers.len);
        buf_add(&text, "\r\n", 2);
        buf_add(&text, body.data, body.len);
        p->busy = true;
        pub_write(p, text.data, text.len);
        break;
    }
    case PUB_WS: {
        Client *c = a_ready_client();
        if (!c)
            return false;
        expand(&text, opt.pub_template, &vars);
        client_send_frame(c, opt.ws_binary ? 2 : 1, text.data, text.len);
        break;
    }
    default: return false;
    }
    g.seq++;
    g.published++;
    g.expected += ready_in[vars.u];
    return true;
}

// ---------------------------------------------------------------- the loop

static void pump(uint64_t wake_at) // one wait, until something happens or wake_at
{
    struct epoll_event events[EVENTS_PER_POLL];
    uint64_t now = now_ns(), wait = wake_at > now ? wake_at - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(wait / NS), .tv_nsec = (long)(wait % NS)};
    int n = epoll_pwait2(epoll_fd, events, EVENTS_PER_POLL, &timeout, NULL);
    for (int k = 0; k < n; k++) {
        Client *c = events[k].data.ptr;
        if (c->kind == SOURCE_CLIENT)
            client_event(c, events[k].events);
        else
            pub_event(events[k].data.ptr, events[k].events);
    }
}

static uint64_t in_seconds(double s)
{
    return now_ns() + (uint64_t)(s * (double)NS);
}

static void wait_seconds(double s)
{
    uint64_t end = in_seconds(s);
    for (uint64_t now; (now = now_ns()) < end && !out_of_time(now);)
        pump(end < run_deadline ? end : run_deadline);
}

static void expire_clients(uint64_t now) // handshakes and closes that take too long
{
    for (int k = 0; k < opt.clients; k++) {
        Client *c = &clients[k];
        double age = (double)now / NS - (double)c->since / NS;
        if (c->state == CLOSING && age > 2)
            client_drop(c);
        else if ((c->state == CONNECTING || c->state == HANDSHAKE || c->state == SCRIPT) &&
                 age > opt.handshake_timeout)
            client_failed(c, c->state == SCRIPT ? "timed out in its script" : "timed out in its handshake");
    }
}

// ---------------------------------------------------------------- phases

static Sample before[MAX_GROUPS];

static void samples_take(bool memory)
{
    for (int k = 0; k < opt.group_count; k++)
        before[k] = sample_group(&opt.groups[k], memory);
}

static double own_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * (double)NS + (double)t.tv_nsec;
}

// CPU since samples_take, in total and per unit of work (a delivery, a message, a handshake).
static void record_cpu(const char *phase, double seconds, double units, const char *per)
{
    for (int k = 0; k < opt.group_count; k++) {
        const Group *group = &opt.groups[k];
        Sample s = sample_group(group, false);
        double cpu = s.cpu_ns - before[k].cpu_ns;
        char key[48];
        record_for(phase, group, "cpu_percent", seconds > 0 ? cpu / seconds / 1e7 : 0);
        record_for(phase, group, "cpu_user_ms", (s.user_ns - before[k].user_ns) / MS);
        record_for(phase, group, "cpu_system_ms", (s.system_ns - before[k].system_ns) / MS);
        if (units > 0) {
            snprintf(key, sizeof key, "cpu_ns_per_%s", per);
            record_for(phase, group, key, cpu / units);
        }
    }
}

static void phase_connect(void)
{
    Sample start[MAX_GROUPS];
    samples_take(true);
    memcpy(start, before, sizeof start);
    uint64_t begin = now_ns(), limit = in_seconds(opt.connect_timeout), next_expiry = begin;
    int next = 0;
    for (uint64_t now; (now = now_ns()) < limit && !out_of_time(now);) {
        while (next < opt.clients && g.pending < (uint64_t)opt.window &&
               (opt.connect_rate <= 0 || (double)next < (double)(now - begin) / NS * opt.connect_rate + 1))
            client_connect(&clients[next++]);
        if (next == opt.clients && !g.pending)
            break;
        if (now >= next_expiry) {
            expire_clients(now);
            next_expiry = now + NS / 2;
        }
        pump(now + (opt.connect_rate > 0 ? MS : 100 * MS));
    }
    double seconds = (double)(now_ns() - begin) / NS;
    record("connect", "clients", opt.clients);
    record("connect", "ready", (double)g.ready);
    record("connect", "failed", (double)g.failed);
    if (g.first_failure[0])
        record_text("connect", "first_failure", g.first_failure);
    record("connect", "seconds", seconds);
    record("connect", "connects_per_s", (double)g.opened / seconds);
    record_latency("connect", "ready_", &g.connecting);
    for (int k = 0; k < opt.group_count; k++) {
        Sample s = sample_group(&opt.groups[k], false);
        record_for("connect", &opt.groups[k], "cpu_ms_per_1000",
                   (s.cpu_ns - before[k].cpu_ns) / MS / ((double)g.opened / 1000));
    }
    progress("%llu of %d ready in %.2f s", (unsigned long long)g.ready, opt.clients, seconds);
    wait_seconds(opt.settle);
    for (int k = 0; k < opt.group_count; k++) {
        Sample s = sample_group(&opt.groups[k], true);
        record_for("connect", &opt.groups[k], "pss_mib_before", start[k].pss / 1048576);
        record_for("connect", &opt.groups[k], "pss_mib", s.pss / 1048576);
        record_for("connect", &opt.groups[k], "rss_mib", s.rss / 1048576);
        if (g.ready) {
            record_for("connect", &opt.groups[k], "pss_bytes_per_client",
                       (s.pss - start[k].pss) / (double)g.ready);
            record_for("connect", &opt.groups[k], "rss_bytes_per_client",
                       (s.rss - start[k].rss) / (double)g.ready);
        }
    }
}

static void phase_idle(void)
{
    uint64_t begin = now_ns(), pings = g.pings;
    samples_take(false);
    wait_seconds(opt.idle);
    double seconds = (double)(now_ns() - begin) / NS;
    record("idle", "seconds", seconds);
    record("idle", "ready", (double)g.ready);
    record("idle", "pings", (double)(g.pings - pings));
    record_cpu("idle", seconds, 0, "");
}

static pid_t start_command(double rate, uint64_t count)
{
    pid_t pid = fork();
    if (pid < 0)
        die("fork: %s", strerror(errno));
    if (pid)
        return pid;
    char text[32];
    snprintf(text, sizeof text, "%g", rate);
    setenv("WSLOAD_RATE", text, 1);
    snprintf(text, sizeof text, "%llu", (unsigned long long)count);
    setenv("WSLOAD_COUNT", text, 1);
    snprintf(text, sizeof text, "%llu", (unsigned long long)opt.size);
    setenv("WSLOAD_SIZE", text, 1);
    snprintf(text, sizeof text, "%llu", (unsigned long long)g.seq);
    setenv("WSLOAD_FIRST_SEQ", text, 1);
    setpgid(0, 0);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", opt.pub_command, (char *)NULL);
    _exit(127);
}

// Publishes count messages at the rate. Returns when the last was sent, or time ran out.
static uint64_t publish_all(double rate, uint64_t count, uint64_t *worst_lateness)
{
    uint64_t begin = now_ns(), sent = 0, gap = (uint64_t)((double)NS / rate);
    uint64_t limit = begin + (uint64_t)((double)count / rate * (double)NS) + (uint64_t)(opt.drain * NS);
    while (sent < count) {
        uint64_t now = now_ns(), due = begin + sent * gap;
        if (out_of_time(now) || now > limit)
            break;
        if (due > now) {
            pump(due);
        } else if (publish(due)) {
            sent++;
            if (now - due > *worst_lateness)
                *worst_lateness = now - due;
            if (sent % 16 == 0)
                pump(0); // read while a backlog goes out
        } else {
            pump(now + MS);
        }
    }
    return now_ns();
}

static void command_wait(pid_t pid, double seconds)
{
    uint64_t limit = in_seconds(seconds);
    int status = 0;
    for (uint64_t now; waitpid(pid, &status, WNOHANG) == 0;) {
        now = now_ns();
        if (now > limit || out_of_time(now)) {
            kill(-pid, SIGKILL); // our own child's group
            waitpid(pid, &status, 0);
            break;
        }
        pump(now + 10 * MS);
    }
    if (status)
        publish_error("the command failed or was ended", 31);
}

// One publishing step. True if nothing was lost and the 99th percentile stayed below the limit.
static bool fan_out(const char *phase, double rate, uint64_t count)
{
    uint64_t worst_lateness = 0, bytes = g.bytes, frames = g.frames, closed = g.closed_without_frame + g.closes;
    uint64_t errors = g.publish_errors, receivers = g.ready;
    memset(&g.latency, 0, sizeof g.latency);
    g.published = g.expected = g.delivered = g.stale = g.duplicates = g.reordered = 0;
    g.first_seq = g.seq;
    samples_take(false);
    double own = own_cpu_ns();
    uint64_t begin = now_ns(), sent_at;
    if (opt.publisher == PUB_COMMAND) {
        pid_t pid = start_command(rate, count);
        g.expected = count * receivers / user_count;
        g.published = count;
        g.seq += count;
        command_wait(pid, (double)count / rate + 30);
        sent_at = now_ns();
    } else if (opt.publisher == PUB_NONE) {
        wait_seconds(opt.duration);
        sent_at = now_ns();
    } else {
        sent_at = publish_all(rate, count, &worst_lateness);
    }
    if (opt.expect_per_client)
        g.expected = opt.expect_per_client * receivers;
    uint64_t drain_until = in_seconds(opt.drain);
    for (uint64_t now; g.delivered < g.expected && (now = now_ns()) < drain_until && !out_of_time(now);)
        pump(now + 50 * MS);
    uint64_t end = now_ns();
    double sending = (double)(sent_at - begin) / NS, seconds = (double)(end - begin) / NS;
    double lost = g.expected > g.delivered ? (double)(g.expected - g.delivered) : 0;
    double delivered = (double)g.delivered;
    record(phase, "rate", rate);
    record(phase, "size", (double)opt.size);
    record(phase, "published", (double)g.published);
    record(phase, "published_per_s", sending > 0 ? (double)g.published / sending : 0);
    record(phase, "publish_errors", (double)(g.publish_errors - errors));
    if (g.first_publish_error[0])
        record_text(phase, "first_publish_error", g.first_publish_error);
    record(phase, "worst_publish_lateness_ms", (double)worst_lateness / MS);
    record(phase, "expected", (double)g.expected);
    record(phase, "delivered", delivered);
    record(phase, "lost", lost);
    record(phase, "duplicates", (double)g.duplicates);
    record(phase, "reordered", (double)g.reordered);
    record(phase, "stale", (double)g.stale);
    record(phase, "closed", (double)(g.closed_without_frame + g.closes - closed));
    record(phase, "seconds", seconds);
    record(phase, "deliveries_per_s", delivered / seconds);
    record(phase, "frames", (double)(g.frames - frames));
    record(phase, "mbit_per_s", (double)(g.bytes - bytes) * 8 / 1e6 / seconds);
    record_latency(phase, "", &g.latency);
    record_cpu(phase, seconds, delivered, "delivery");
    own = own_cpu_ns() - own;
    record(phase, "wsload_cpu_percent", own / seconds / 1e7);
    record(phase, "wsload_cpu_ns_per_delivery", delivered > 0 ? own / delivered : 0);
    progress("%s: rate %.0f, %.0f of %llu delivered, %.0f/s, p50 %.2f ms, p99 %.2f ms", phase, rate,
             delivered, (unsigned long long)g.expected, delivered / seconds, hist_ms(&g.latency, .5),
             hist_ms(&g.latency, .99));
    return lost <= 0 && hist_ms(&g.latency, .99) <= opt.ramp_p99;
}

static void phase_ramp(void)
{
    double best_rate = 0, best_deliveries = 0, rate = opt.ramp_start;
    for (int k = 1; k < 60 && !out_of_time(now_ns()); k++, rate *= opt.ramp_factor) {
        char name[24];
        snprintf(name, sizeof name, "ramp%d", k);
        uint64_t count = (uint64_t)(rate * opt.ramp_step);
        bool good = fan_out(name, rate, count ? count : 1);
        if (!good)
            break;
        best_rate = rate;
        best_deliveries = (double)g.delivered / opt.ramp_step;
        wait_seconds(.3);
    }
    record("ramp", "p99_limit_ms", opt.ramp_p99);
    record("ramp", "best_rate", best_rate);
    record("ramp", "best_deliveries_per_s", best_deliveries);
}

// Clients leave and reconnect in the order of their index, cyclically.
static void phase_churn(void)
{
    uint64_t begin = now_ns(), end = in_seconds(opt.churn_for), limit = end + 5 * NS;
    uint64_t gap = (uint64_t)((double)NS / opt.churn), next_expiry = begin;
    uint64_t left = 0, back = 0, closed = 0, opened = g.opened, failed = g.failed;
    uint64_t count = (uint64_t)opt.clients;
    double own = own_cpu_ns();
    samples_take(false);
    memset(&g.connecting, 0, sizeof g.connecting);
    for (uint64_t now; (now = now_ns()) < limit && !out_of_time(now);) {
        for (; now < end && begin + left * gap <= now && left - back < count; left++) {
            Client *c = &clients[left % count];
            if (c->state != READY)
                continue;
            client_send_frame(c, 8, "\x03\xe8", 2);
            if (c->fd >= 0)
                set_state(c, CLOSING);
            c->since = now;
            closed++;
        }
        for (; back < left && clients[back % count].state != CLOSING; back++)
            if (clients[back % count].state == IDLE)
                client_connect(&clients[back % count]);
        if (now >= end && back == left && !g.pending)
            break;
        if (now >= next_expiry) {
            expire_clients(now);
            next_expiry = now + NS / 4;
        }
        pump(now < end ? begin + left * gap : now + 10 * MS);
    }
    double seconds = (double)(now_ns() - begin) / NS, cycles = (double)(g.opened - opened);
    record("churn", "rate", opt.churn);
    record("churn", "seconds", seconds);
    record("churn", "closed", (double)closed);
    record("churn", "reopened", cycles);
    record("churn", "failed", (double)(g.failed - failed));
    if (g.first_failure[0])
        record_text("churn", "first_failure", g.first_failure);
    record("churn", "ready", (double)g.ready);
    record_latency("churn", "ready_", &g.connecting);
    record_cpu("churn", seconds, cycles, "cycle");
    record("churn", "wsload_cpu_percent", (own_cpu_ns() - own) / seconds / 1e7);
    progress("churn: %.0f cycles in %.1f s", cycles, seconds);
}

static void record_end(void)
{
    record("end", "ready", (double)g.ready);
    record("end", "data_and_control_frames", (double)g.frames);
    record("end", "bytes_in", (double)g.bytes);
    record("end", "other_messages", (double)g.other);
    record("end", "pings", (double)g.pings);
    record("end", "protocol_errors", (double)g.protocol_errors);
    record("end", "closed_without_close_frame", (double)g.closed_without_frame);
    for (unsigned k = 0; k < 5000; k++)
        if (g.close_codes[k]) {
            char key[32];
            snprintf(key, sizeof key, "closed_%u", k);
            record("end", key, (double)g.close_codes[k]);
        }
    if (out_of_time(now_ns()))
        record_text("end", "cut_short", interrupted ? "interrupted" : "--max-time");
}

// ---------------------------------------------------------------- options

static const char help[] =
"wsload [options] host:port[,host:port...]\n"
"\n"
"Opens WebSocket clients to loopback servers (round robin over the list), publishes, and measures.\n"
"In templates {i} is a client's index and {u} its user, {i:6} the same in six digits; a publisher's\n"
"template may also use {u} (a random user), {payload} (JSON of --size bytes with ts and seq), {len}\n"
"(the payload's length), {ts} and {seq}. Values take the escapes \\r \\n \\t \\0 \\\\ \\xHH.\n"
"\n"
"clients\n"
"  -n, --clients N          how many (100)\n"
"  -w, --window N           handshakes under way at once, at most (64)\n"
"  --connect-rate R         new connections per second, at most\n"
"  --path T                 request path, a template (/)\n"
"  --header T               extra request header, a template; may be repeated\n"
"  --subprotocol P          Sec-WebSocket-Protocol\n"
"  --send T, --send-bin T   after the upgrade, send this as a text or a binary message; these and\n"
"  --wait T                 (wait for a message that contains T) form a script, in the order given;\n"
"                           a client is ready when its script is done\n"
"  --reply A=>B             answer a line that starts with A by B, in text; --reply-bin the same, binary\n"
"  --sse                    clients of server-sent events instead of WebSockets (no script, no --churn)\n"
"  --users U                client i belongs to user i mod U (with {u} in a publisher: one each)\n"
"\n"
"publisher: one of\n"
"  --redis host:port --redis-cmd 'PUBLISH chan {payload}' [--redis-db N]   arguments split at spaces;\n"
"                           any command will do (EVALSHA, FCALL, XADD, ...)\n"
"  --http-post http://host:port/path [--http-body T] [--http-header H] [--http-conns N]\n"
"                           path and body are templates (body: {payload}); N requests at once (8)\n"
"  --tcp host:port --tcp-msg T [--tcp-hello T]   raw bytes, for protocols such as NATS and MQTT\n"
"  --ws-publish T, --ws-publish-bin T            sent on the first ready client\n"
"  --publish-cmd CMD        a shell command; it finds WSLOAD_RATE, _COUNT, _SIZE and _FIRST_SEQ in\n"
"                           its environment and must publish COUNT messages with marker (with --users,\n"
"                           each to one user)\n"
"Whoever publishes, a payload holds \"ts\":<CLOCK_MONOTONIC in ns> or ts=<ns>, then \"seq\":<number>.\n"
"ts is the time a message was due, so a publisher that falls behind shows as latency.\n"
"\n"
"phases\n"
"  --settle S               after connecting, before weighing the memory (1)\n"
"  --idle S                 measure for S seconds doing nothing\n"
"  --rate R                 messages published per second, together with\n"
"  --messages M | --duration S   how many, or for how long (no publisher: just listen)\n"
"  --ramp START[,FACTOR[,SECONDS[,P99_MS]]]   instead: raise the rate by FACTOR (1.3) every SECONDS\n"
"                           (3) until messages are lost or p99 exceeds P99_MS (250)\n"
"  --churn R --churn-for S  R disconnects and reconnects per second\n"
"  --expect-per-client K    expected deliveries, where the publisher can't know\n"
"  --drain S                wait this long for stragglers (5)\n"
"  --size B                 payload bytes (64)\n"
"\n"
"measuring\n"
"  --server-pid P[,P2]      watch these processes' CPU time (all threads), RSS and PSS\n"
"  --pid NAME=P[,P2]        and these, under another name (redis=123); may be repeated\n"
"  --label TEXT             noted in the output\n"
"  --json                   one JSON object instead of text\n"
"  -q, --quiet              no progress on stderr\n"
"  --connect-timeout S (120)  --handshake-timeout S (15)  --max-time S (600)\n"
"\n"
"Exit status: 0 if every client connected and nothing was lost, 1 otherwise, 2 for a usage error.\n"
"\n"
"Example: 1000 clients on one Redis channel, 50 messages a second for 10 s:\n"
"  wsload -n 1000 --path /ws/news --redis 127.0.0.1:6379 --redis-cmd 'PUBLISH news {payload}' \\\n"
"         --rate 50 --duration 10 --server-pid $(pidof gateway) 127.0.0.1:8080\n"
"Example: 10000 users with a private channel each, 2000 messages a second:\n"
"  wsload -n 10000 --path /ws/user.{u} --redis 127.0.0.1:6379 \\\n"
"         --redis-cmd 'PUBLISH user.{u} {payload}' --rate 2000 --duration 10 127.0.0.1:8080\n";

static void add_pids(const char *name, size_t name_len, const char *list)
{
    if (opt.group_count == MAX_GROUPS)
        die("too many processes to watch");
    Group *group = &opt.groups[opt.group_count++];
    snprintf(group->name, sizeof group->name, "%.*s", (int)name_len, name);
    for (char *end; *list; list = *end ? end + 1 : end) {
        long pid = strtol(list, &end, 10);
        if (end == list || pid <= 0 || (*end && *end != ',') || group->pid_count == MAX_PIDS)
            die("'%s' is not a list of process ids", list);
        group->pids[group->pid_count++] = (int)pid;
    }
}

static void set_publisher(PubKind kind)
{
    if (opt.publisher != PUB_NONE && opt.publisher != kind)
        die("one publisher, please");
    opt.publisher = kind;
}

static void parse_http_url(const char *url)
{
    if (strncmp(url, "http://", 7))
        die("--http-post takes http://host:port/path");
    const char *path = strchr(url + 7, '/');
    char address[48];
    snprintf(address, sizeof address, "%.*s", (int)(path ? path - url - 7 : 40), url + 7);
    opt.pub_address = parse_address(address, opt.pub_host);
    opt.http_path = unescape(path ? path : "/");
}

static void add_step(StepKind kind, const char *value)
{
    if (opt.step_count == MAX_STEPS)
        die("too many --send and --wait");
    opt.steps[opt.step_count++] = (Step){kind, unescape(value)};
}

static void parse_reply(const char *value, bool binary)
{
    const char *arrow = strstr(value, "=>");
    if (!arrow)
        die("--reply takes A=>B");
    opt.reply_to = unescape(strndup(value, (size_t)(arrow - value)));
    opt.reply = unescape(arrow + 2);
    opt.reply_binary = binary;
}

static double number(const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || v < 0)
        die("'%s' is not a number", text);
    return v;
}

static void parse_targets(char *list)
{
    char *save = NULL;
    for (char *s = strtok_r(list, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        if (opt.target_count == MAX_TARGETS)
            die("too many servers");
        opt.targets[opt.target_count] = parse_address(s, opt.target_names[opt.target_count]);
        opt.target_count++;
    }
}

enum { OPT_CONNECT_RATE = 256, OPT_PATH, OPT_HEADER, OPT_SUBPROTOCOL, OPT_SEND, OPT_SEND_BIN, OPT_WAIT, OPT_REPLY,
       OPT_REPLY_BIN, OPT_USERS, OPT_REDIS, OPT_REDIS_CMD, OPT_REDIS_DB, OPT_HTTP_POST, OPT_HTTP_BODY, OPT_HTTP_HEADER,
       OPT_HTTP_CONNS, OPT_TCP, OPT_TCP_MSG, OPT_TCP_HELLO, OPT_WS_PUBLISH, OPT_WS_PUBLISH_BIN, OPT_PUBLISH_CMD,
       OPT_SETTLE, OPT_IDLE, OPT_RATE, OPT_MESSAGES, OPT_DURATION, OPT_RAMP, OPT_CHURN, OPT_CHURN_FOR, OPT_EXPECT,
       OPT_DRAIN, OPT_SIZE, OPT_SSE, OPT_SERVER_PID, OPT_PID, OPT_LABEL, OPT_JSON, OPT_CONNECT_TIMEOUT,
       OPT_HANDSHAKE_TIMEOUT, OPT_MAX_TIME };

static const struct option long_options[] = {
    {"clients", 1, 0, 'n'}, {"window", 1, 0, 'w'}, {"connect-rate", 1, 0, OPT_CONNECT_RATE},
    {"path", 1, 0, OPT_PATH}, {"header", 1, 0, OPT_HEADER}, {"subprotocol", 1, 0, OPT_SUBPROTOCOL},
    {"send", 1, 0, OPT_SEND}, {"send-bin", 1, 0, OPT_SEND_BIN}, {"wait", 1, 0, OPT_WAIT},
    {"reply", 1, 0, OPT_REPLY}, {"reply-bin", 1, 0, OPT_REPLY_BIN}, {"users", 1, 0, OPT_USERS},
    {"redis", 1, 0, OPT_REDIS}, {"redis-cmd", 1, 0, OPT_REDIS_CMD}, {"redis-db", 1, 0, OPT_REDIS_DB},
    {"http-post", 1, 0, OPT_HTTP_POST}, {"http-body", 1, 0, OPT_HTTP_BODY},
    {"http-header", 1, 0, OPT_HTTP_HEADER}, {"http-conns", 1, 0, OPT_HTTP_CONNS}, {"tcp", 1, 0, OPT_TCP},
    {"tcp-msg", 1, 0, OPT_TCP_MSG}, {"tcp-hello", 1, 0, OPT_TCP_HELLO},
    {"ws-publish", 1, 0, OPT_WS_PUBLISH}, {"ws-publish-bin", 1, 0, OPT_WS_PUBLISH_BIN},
    {"publish-cmd", 1, 0, OPT_PUBLISH_CMD}, {"settle", 1, 0, OPT_SETTLE}, {"idle", 1, 0, OPT_IDLE},
    {"rate", 1, 0, OPT_RATE}, {"messages", 1, 0, OPT_MESSAGES}, {"duration", 1, 0, OPT_DURATION},
    {"ramp", 1, 0, OPT_RAMP}, {"churn", 1, 0, OPT_CHURN}, {"churn-for", 1, 0, OPT_CHURN_FOR},
    {"expect-per-client", 1, 0, OPT_EXPECT}, {"drain", 1, 0, OPT_DRAIN}, {"size", 1, 0, OPT_SIZE},
    {"server-pid", 1, 0, OPT_SERVER_PID}, {"pid", 1, 0, OPT_PID}, {"label", 1, 0, OPT_LABEL},
    {"json", 0, 0, OPT_JSON}, {"sse", 0, 0, OPT_SSE}, {"quiet", 0, 0, 'q'}, {"connect-timeout", 1, 0, OPT_CONNECT_TIMEOUT},
    {"handshake-timeout", 1, 0, OPT_HANDSHAKE_TIMEOUT}, {"max-time", 1, 0, OPT_MAX_TIME},
    {"help", 0, 0, 'h'}, {0, 0, 0, 0}};

static void parse_option(int o, char *value)
{
    switch (o) {
    case 'n': opt.clients = (int)number(value); break;
    case 'w': opt.window = (int)number(value); break;
    case 'q': opt.quiet = true; break;
    case 'h': fputs(help, stdout); exit(0);
    case OPT_CONNECT_RATE: opt.connect_rate = number(value); break;
    case OPT_PATH: opt.path = unescape(value); break;
    case OPT_HEADER:
        if (opt.header_count == MAX_HEADERS)
            die("too many --header");
        opt.headers[opt.header_count++] = unescape(value);
        break;
    case OPT_SUBPROTOCOL: opt.subprotocol = unescape(value); break;
    case OPT_SEND: add_step(STEP_TEXT, value); break;
    case OPT_SEND_BIN: add_step(STEP_BINARY, value); break;
    case OPT_WAIT: add_step(STEP_WAIT, value); break;
    case OPT_REPLY: parse_reply(value, false); break;
    case OPT_REPLY_BIN: parse_reply(value, true); break;
    case OPT_USERS: opt.users = (uint64_t)number(value); break;
    case OPT_REDIS:
        set_publisher(PUB_REDIS);
        opt.pub_address = parse_address(value, opt.pub_host);
        break;
    case OPT_REDIS_CMD: opt.pub_template = (Text){value, strlen(value)}; break; // unescaped per argument
    case OPT_REDIS_DB: opt.redis_db = (int)number(value); break;
    case OPT_HTTP_POST: set_publisher(PUB_HTTP); parse_http_url(value); break;
    case OPT_HTTP_BODY: opt.pub_template = unescape(value); break;
    case OPT_HTTP_HEADER: {
        static Buf all;
        buf_add(&all, value, strlen(value));
        buf_add(&all, "\r\n", 2);
        opt.http_headers = (Text){all.data, all.len};
        break;
    }
    case OPT_HTTP_CONNS: opt.http_conns = (int)number(value); break;
    case OPT_TCP: set_publisher(PUB_TCP); opt.pub_address = parse_address(value, opt.pub_host); break;
    case OPT_TCP_MSG: opt.pub_template = unescape(value); break;
    case OPT_TCP_HELLO: opt.pub_hello = unescape(value); break;
    case OPT_WS_PUBLISH: set_publisher(PUB_WS); opt.pub_template = unescape(value); break;
    case OPT_WS_PUBLISH_BIN:
        set_publisher(PUB_WS);
        opt.pub_template = unescape(value);
        opt.ws_binary = true;
        break;
    case OPT_PUBLISH_CMD: set_publisher(PUB_COMMAND); opt.pub_command = value; break;
    case OPT_SETTLE: opt.settle = number(value); break;
    case OPT_IDLE: opt.idle = number(value); break;
    case OPT_RATE: opt.rate = number(value); break;
    case OPT_MESSAGES: opt.messages = (uint64_t)number(value); break;
    case OPT_DURATION: opt.duration = number(value); break;
    case OPT_RAMP:
        if (sscanf(value, "%lf,%lf,%lf,%lf", &opt.ramp_start, &opt.ramp_factor, &opt.ramp_step,
                   &opt.ramp_p99) < 1 || opt.ramp_start <= 0 || opt.ramp_factor <= 1 || opt.ramp_step <= 0)
            die("--ramp takes START[,FACTOR[,SECONDS[,P99_MS]]]");
        break;
    case OPT_CHURN: opt.churn = number(value); break;
    case OPT_CHURN_FOR: opt.churn_for = number(value); break;
    case OPT_EXPECT: opt.expect_per_client = (uint64_t)number(value); break;
    case OPT_DRAIN: opt.drain = number(value); break;
    case OPT_SIZE: opt.size = (uint64_t)number(value); break;
    case OPT_SERVER_PID: add_pids("server", 6, value); break;
    case OPT_PID: {
        const char *equals = strchr(value, '=');
        if (!equals)
            die("--pid takes NAME=P[,P2]");
        add_pids(value, (size_t)(equals - value), equals + 1);
        break;
    }
    case OPT_LABEL: opt.label = value; break;
    case OPT_JSON: opt.json = true; break;
    case OPT_SSE: opt.sse = true; break;
    case OPT_CONNECT_TIMEOUT: opt.connect_timeout = number(value); break;
    case OPT_HANDSHAKE_TIMEOUT: opt.handshake_timeout = number(value); break;
    case OPT_MAX_TIME: opt.max_time = number(value); break;
    default: fputs("wsload: see --help\n", stderr); exit(2);
    }
}

static void parse_options(int argc, char **argv)
{
    for (int o; (o = getopt_long(argc, argv, "n:w:qh", long_options, NULL)) != -1;)
        parse_option(o, optarg);
    if (optind != argc - 1)
        die("one list of servers, please (see --help)");
    parse_targets(argv[optind]);
    if (opt.clients < 1 || opt.window < 1)
        die("--clients and --window must be at least 1");
    if (opt.http_conns < 1 || opt.http_conns > MAX_HTTP_CONNS)
        die("--http-conns must be from 1 to %d", MAX_HTTP_CONNS);
    bool publishes = opt.publisher != PUB_NONE;
    if (opt.publisher == PUB_HTTP && !opt.pub_template.len)
        opt.pub_template = (Text){"{payload}", 9};
    if (publishes && opt.publisher != PUB_COMMAND && !opt.pub_template.len)
        die("the publisher has nothing to say (--redis-cmd, --tcp-msg)");
    if (publishes && opt.ramp_start <= 0 && (opt.rate <= 0 || (!opt.messages && opt.duration <= 0)))
        die("publishing needs --rate and one of --messages and --duration, or --ramp");
    if (opt.sse && (opt.step_count || opt.reply.len || opt.churn > 0 || opt.publisher == PUB_WS))
        die("--sse clients say nothing after their request");
    if (opt.churn > 0 && opt.churn_for <= 0)
        die("--churn needs --churn-for");
    if (opt.users)
        user_count = opt.users;
    else if (uses_user(opt.pub_template) || uses_user(opt.http_path))
        user_count = (uint64_t)opt.clients;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)opt.clients + 256;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= needed)
        return;
    limit.rlim_cur = needed;
    if (limit.rlim_max < needed)
        limit.rlim_max = needed; // root may
    if (setrlimit(RLIMIT_NOFILE, &limit))
        die("can't open %d files: %s", opt.clients, strerror(errno));
}

static void on_signal(int signal)
{
    (void)signal;
    interrupted = 1;
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    raise_file_limit();
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    clients = calloc((size_t)opt.clients, sizeof *clients);
    ready_in = calloc(user_count, sizeof *ready_in);
    if (epoll_fd < 0 || !clients || !ready_in)
        die("out of memory");
    for (int k = 0; k < opt.clients; k++) {
        Client *c = &clients[k];
        c->kind = SOURCE_CLIENT;
        c->fd = -1;
        c->index = (uint32_t)k;
        c->user = (uint32_t)((uint64_t)k % user_count);
    }
    g.seq = 1;
    run_deadline = in_seconds(opt.max_time);
    random_state ^= now_ns();
    if (opt.label)
        record_text("run", "label", opt.label);
    publisher_start();
    phase_connect();
    if (opt.idle > 0)
        phase_idle();
    uint64_t lost = 0;
    if (opt.ramp_start > 0) {
        phase_ramp();
    } else if (opt.rate > 0 || opt.duration > 0) {
        uint64_t count = opt.messages ? opt.messages : (uint64_t)(opt.rate * opt.duration);
        fan_out("fanout", opt.rate, count);
        lost = g.expected > g.delivered ? g.expected - g.delivered : 0;
    }
    if (opt.churn > 0)
        phase_churn();
    record_end();
    print_results();
    return g.failed || lost || out_of_time(now_ns()) ? 1 : 0;
}
