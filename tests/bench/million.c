/* A crowd of visitors over real sockets: each arrives at its moment, gets a place, and polls as the page does.

       million PORT ORIGIN_PORT CROWD RESULT MOST_CONNECTIONS ENTERS

   CROWD: two doubles a visitor, sorted by the first: seconds of the arrival and of the leaving (inf: never).
   RESULT: a `struct result` a visitor, in the same order. ENTERS: 1 if each admitted visitor then loads the page.

   Visitors share keep-alive connections; each has a cookie of its own. While a poll is parked, its visitor holds a
   connection. If the visitor leaves meanwhile, they close it, as a browser does. The rules of static/waiting.js:

       next poll = response + left + random * min(3 % of after, 250 ms),  at the earliest 500 ms after the last was sent
       left      = after - min(0.8 * quickest round trip, after / 2, 2 s)

   The same process plays the shop: it listens on ORIGIN_PORT and answers every request.
   Prints a line of figures every ten seconds to standard error, and lines `name value` at the end to standard output. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 8192, SLOTS = 1 << 19, COOKIE = 216, MOST_FDS = 65536, NOBODY = -1, LATE_MS = 10000,
       MOST_CONNECTING = 256 }; /* far fewer than wait in the backlog of a server */
enum state { AWAY, WAITING, IN_FLIGHT, QUEUED, ADMITTED, ENTERING, DONE, LEFT };
enum role { UNUSED, CONNECTING, IDLE, ASKING, LISTENER, SHOP };

struct result { uint64_t first_seen_ms, admitted_ms; double received_s; uint32_t requests, state; };
struct visitor { char cookie[COOKIE]; float quickest, asked; int32_t connection; uint32_t requests; uint8_t state; };
struct connection { int visitor; int filled; uint8_t role; char *data; };

static struct visitor *visitors;
static struct result *results;
static const double (*crowd)[2];
static int32_t *next_in_slot, slots[SLOTS], *queue;
static struct connection connections[MOST_FDS];
static int idle[MOST_FDS], idle_count, open_count, most_open, most_wanted, connecting, to_port, epoll;
static int count, arrived, gone, in_flight, queued, queue_head, enters;
static long requests, errors, broken, bad_status, admitted, entered, left_count, opened, late[LATE_MS + 1], slot_now;
static double began;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9 - began;
}

/* Entries 0 .. count-1 are polls, count .. 2 count - 1 are departures. */
static void schedule(int entry, double at) {
    long slot = (long)(at * 1000);
    if (slot <= slot_now) slot = slot_now + 1;
    if (slot >= slot_now + SLOTS) slot = slot_now + SLOTS - 1;
    next_in_slot[entry] = slots[slot % SLOTS];
    slots[slot % SLOTS] = entry;
}

static void watch(int fd, enum role role) {
    int one = 1;
    if (fd < 0 || fd >= MOST_FDS) { perror("a connection"); exit(3); }
    if (role != LISTENER) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct connection *c = &connections[fd];
    if (!c->data) c->data = malloc(BUFFER);
    c->filled = 0, c->visitor = NOBODY, c->role = role;
    struct epoll_event event = {.events = role == CONNECTING ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int open_connection(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(to_port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (connect(fd, (void *)&to, sizeof to) && errno != EINPROGRESS) { close(fd); return -1; }
    watch(fd, CONNECTING);
    opened++, connecting++;
    if (++open_count > most_open) most_open = open_count;
    return fd;
}

static void shut(int fd) {
    if (connections[fd].role == CONNECTING) connecting--;
    if (connections[fd].role <= ASKING) open_count--;
    connections[fd].role = UNUSED;
    close(fd);
}

static int free_connection(void) {
    while (idle_count) {
        int fd = idle[--idle_count];
        if (connections[fd].role == IDLE) return fd;
    }
    return open_count < most_wanted && connecting < MOST_CONNECTING ? open_connection() : -1;
}

static void finish(int who, enum state state) {
    visitors[who].state = state;
    gone++;
}

static void send_request(int who) {
    struct visitor *v = &visitors[who];
    int fd = free_connection();
    if (fd < 0) {
        v->state = v->state == ADMITTED || v->state == ENTERING ? ENTERING : QUEUED;
        queue[(queue_head + queued++) % count] = who;
        return;
    }
    char text[1024];
    int is_page = v->state == AWAY || v->state == ENTERING || !v->cookie[0];
    int size = snprintf(text, sizeof text,
        "GET %s HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML,"
        " like Gecko) Chrome/124.0.0.0 Safari/537.36\r\nAccept: application/json\r\nAccept-Language: en-GB,en;q=0.9\r\n"
        "Cookie: theme=dark%s%s\r\n\r\n",
        is_page ? "/checkout" : "/_stanchion/status?room=checkout", v->cookie[0] ? "; stanchion_checkout=" : "", v->cookie);
    if (v->state != ENTERING) v->state = IN_FLIGHT;
    v->asked = now(), v->connection = fd, v->requests++;
    requests++, in_flight++;
    connections[fd].visitor = who;
    if (connections[fd].role == CONNECTING) { /* `connected` sends it */
        memcpy(connections[fd].data, text, size);
        connections[fd].filled = size;
        return;
    }
    connections[fd].role = ASKING, connections[fd].filled = 0;
    if (write(fd, text, size) != size) { /* the answer to a broken connection comes as its end */ }
}

static void connected(int fd) {
    struct connection *c = &connections[fd];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
    connecting--, c->role = ASKING;
    if (write(fd, c->data, c->filled) != c->filled) { /* as above */ }
    c->filled = 0;
}

static void retry(int who, double after) {
    struct visitor *v = &visitors[who];
    errors++;
    if (v->state != ENTERING) v->state = WAITING;
    schedule(who, now() + after);
}

static void keep_cookie(struct visitor *v, const char *head) {
    const char *at = strcasestr(head, "\r\nset-cookie: stanchion_checkout=");
    if (!at) return;
    at += strlen("\r\nset-cookie: stanchion_checkout=");
    size_t size = strcspn(at, ";\r");
    if (size >= COOKIE) { fprintf(stderr, "a cookie of %zu bytes\n", size); exit(4); }
    memcpy(v->cookie, at, size);
    v->cookie[size] = 0;
}

/* p1.checkout.<id>.<first_seen ms>.<admitted ms>.<expires>.<signature> */
static void note_admission(int who, double at) {
    struct visitor *v = &visitors[who];
    const char *dot = v->cookie;
    for (int fields = 0; fields < 3 && dot; fields++) dot = strchr(dot + (fields > 0), '.');
    unsigned long long first_seen = 0, given = 0;
    if (strncmp(v->cookie, "p1.", 3) || !dot || sscanf(dot, ".%llu.%llu.", &first_seen, &given) != 2) { bad_status++; return; }
    results[who].first_seen_ms = first_seen, results[who].admitted_ms = given, results[who].received_s = at;
    admitted++;
}

static void answered(int who, const char *head, const char *body) {
    struct visitor *v = &visitors[who];
    double at = now();
    if (strncmp(head + 9, "200", 3)) {
        const char *pause = strcasestr(head, "\r\nretry-after: ");
        bad_status++;
        retry(who, pause ? atof(pause + 15) : 2.0);
        return;
    }
    if (v->state == ENTERING) { entered++; finish(who, DONE); return; }
    keep_cookie(v, head);
    if (strcasestr(head, "\r\nstanchion-state: admitted")) {
        note_admission(who, at);
        if (!enters || strstr(head, "X-Shop: 1")) { finish(who, DONE); return; }
        v->state = ENTERING;
        send_request(who);
        return;
    }
    const char *after_text = strstr(body, "\"poll_after_seconds\": ");
    double after = after_text ? atof(after_text + 22) : 0.0;
    if (after <= 0.0) { retry(who, 2.0); return; }
    double trip = at - v->asked, quickest = v->quickest > 0 ? fmin(trip, 1.02 * v->quickest) : trip;
    double allowed = fmin(fmin(0.8 * fmax(quickest, 0.001), after / 2), 2.0);
    double pause = after - allowed + drand48() * fmin(0.03 * after, 0.25);
    v->quickest = quickest, v->state = WAITING;
    schedule(who, fmax(at + pause, v->asked + 0.5));
}

static void lose(int fd) {
    int who = connections[fd].visitor, was = connections[fd].role;
    shut(fd);
    if (was != ASKING) return;
    broken++, in_flight--;
    visitors[who].connection = NOBODY;
    retry(who, 2.0 * (0.5 + 0.5 * drand48()));
}

static void read_response(int fd) {
    struct connection *c = &connections[fd];
    ssize_t came = read(fd, c->data + c->filled, BUFFER - 1 - c->filled);
    if (came <= 0) {
        if (came < 0 && errno == EAGAIN) return;
        lose(fd);
        return;
    }
    c->filled += came, c->data[c->filled] = 0;
    char *end = strstr(c->data, "\r\n\r\n");
    if (!end) return;
    *end = 0;
    char *length = strcasestr(c->data, "\r\ncontent-length:");
    long size = length ? strtol(length + 17, NULL, 10) : -1;
    *end = '\r';
    if (size < 0 || end + 4 - c->data + size > BUFFER - 1) { fprintf(stderr, "a response without a length, or too long\n"); exit(5); }
    if (c->filled < end + 4 - c->data + size) return;
    int who = c->visitor;
    in_flight--;
    visitors[who].connection = NOBODY;
    char copy[BUFFER];
    memcpy(copy, c->data, c->filled + 1);
    copy[end - c->data] = 0;
    c->role = IDLE, c->visitor = NOBODY, c->filled = 0;
    if (strcasestr(copy, "\r\nconnection: close")) shut(fd);
    else idle[idle_count++] = fd;
    answered(who, copy, copy + (end - c->data) + 4);
}

static void serve_shop(int fd) {
    static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Shop: 1\r\nContent-Length: 3\r\n\r\nin\n";
    struct connection *c = &connections[fd];
    ssize_t came = read(fd, c->data + c->filled, BUFFER - 1 - c->filled);
    if (came <= 0) { if (came == 0 || errno != EAGAIN) shut(fd); return; }
    c->filled += came, c->data[c->filled] = 0;
    if (!strstr(c->data, "\r\n\r\n")) return;
    c->filled = 0;
    if (write(fd, ANSWER, sizeof ANSWER - 1) < 0) shut(fd);
}

static void leave(int who) {
    struct visitor *v = &visitors[who];
    if (v->state != WAITING && v->state != IN_FLIGHT && v->state != QUEUED) return;
    if (v->state == IN_FLIGHT) { in_flight--; shut(v->connection); }
    left_count++;
    finish(who, LEFT);
}

static void take_turns(void) {
    double at = now();
    while (arrived < count && crowd[arrived][0] <= at) {
        int who = arrived++;
        int ms = (int)((at - crowd[who][0]) * 1000);
        late[ms < LATE_MS ? ms : LATE_MS]++;
        if (isfinite(crowd[who][1])) schedule(count + who, crowd[who][1]);
        send_request(who);
    }
    for (long until = (long)(at * 1000); slot_now < until;) {
        int32_t entry = slots[++slot_now % SLOTS];
        slots[slot_now % SLOTS] = NOBODY;
        while (entry != NOBODY) {
            int32_t following = next_in_slot[entry];
            if (entry >= count) leave(entry - count);
            else if (visitors[entry].state == WAITING || visitors[entry].state == ENTERING) {
                long ms = until - slot_now;
                late[ms < LATE_MS ? ms : LATE_MS]++;
                send_request(entry);
            }
            entry = following;
        }
    }
    while (queued && (idle_count || (open_count < most_wanted && connecting < MOST_CONNECTING))) {
        int who = queue[queue_head];
        queue_head = (queue_head + 1) % count, queued--;
        if (visitors[who].state == QUEUED || visitors[who].state == ENTERING) send_request(who);
    }
}

static void listen_as_shop(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&at, sizeof at) || listen(fd, 1024)) { perror("the shop's port"); exit(3); }
    watch(fd, LISTENER);
}

static void *mapped(size_t size, const char *name) {
    int fd = open(name, O_RDONLY);
    struct stat about;
    if (fd < 0 || fstat(fd, &about)) { perror(name); exit(2); }
    count = about.st_size / size;
    void *at = mmap(NULL, about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) { perror(name); exit(2); }
    return at;
}

static void report(double at, long before, double since) {
    fprintf(stderr, "%5.0f s  arrived %d  admitted %ld  left %ld  requests/s %.0f  in flight %d  queued %d  connections %d  errors %ld\n",
            at, arrived, admitted, left_count, (requests - before) / (at - since), in_flight, queued, open_count, errors);
}

static double late_ms(double share) {
    long all = 0, below = 0;
    for (int ms = 0; ms <= LATE_MS; ms++) all += late[ms];
    for (int ms = 0; ms <= LATE_MS; ms++) if ((below += late[ms]) >= all * share) return ms;
    return LATE_MS;
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    to_port = atoi(argv[1]), most_wanted = atoi(argv[5]), enters = atoi(argv[6]);
    crowd = mapped(sizeof *crowd, argv[3]);
    visitors = calloc(count, sizeof *visitors), results = calloc(count, sizeof *results);
    next_in_slot = malloc(2 * count * sizeof *next_in_slot), queue = malloc(count * sizeof *queue);
    for (int i = 0; i < SLOTS; i++) slots[i] = NOBODY;
    for (int i = 0; i < count; i++) visitors[i].connection = NOBODY;
    epoll = epoll_create1(0);
    listen_as_shop(atoi(argv[2]));
    srand48(1), signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    began = now();
    double reported = 0.0;
    long before = 0;
    while (gone < count) {
        take_turns();
        struct epoll_event ready[512];
        struct timespec until = {.tv_nsec = 500000};
        int many = epoll_pwait2(epoll, ready, 512, &until, NULL);
        for (int i = 0; i < many; i++) {
            int fd = ready[i].data.fd;
            switch (connections[fd].role) {
                case LISTENER: { int made = accept(fd, NULL, NULL); if (made >= 0) watch(made, SHOP); break; }
                case SHOP: serve_shop(fd); break;
                case CONNECTING: connected(fd); break;
                case IDLE: case ASKING: read_response(fd); break;
            }
        }
        if (now() - reported >= 10.0) { report(now(), before, reported); before = requests, reported = now(); }
    }
    report(now(), before, reported);
    for (int i = 0; i < count; i++) results[i].requests = visitors[i].requests, results[i].state = visitors[i].state;
    FILE *file = fopen(argv[4], "wb");
    if (!file || fwrite(results, sizeof *results, count, file) != (size_t)count || fclose(file)) { perror(argv[4]); return 2; }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("began_s %.3f\nseconds %.3f\nrequests %ld\nadmitted %ld\nleft %ld\nentered %ld\nerrors %ld\nbroken %ld\nbad_status %ld\n",
           wall.tv_sec + wall.tv_nsec / 1e9, now(), requests, admitted, left_count, entered, errors, broken, bad_status);
    printf("connections %d\nopened %ld\nlate_p50_ms %.0f\nlate_p99_ms %.0f\nlate_p999_ms %.0f\nload_cpu_s %.1f\n", most_open, opened,
           late_ms(0.5), late_ms(0.99), late_ms(0.999), used.ru_utime.tv_sec + used.ru_stime.tv_sec + 1e-6 * (used.ru_utime.tv_usec + used.ru_stime.tv_usec));
    return 0;
}
