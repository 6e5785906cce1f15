/* An open load: requests come at random moments (a Poisson process), as visitors do, whether the previous ones are answered or not.

       arrivals PORT RATE WARM SECONDS CONNECTIONS FILE         FILE: requests, separated by a NUL byte, sent in turn

   WARM: seconds of load that come first and do not count. A head that a server has not seen yet costs it more, and a
   crowd of 2,000 new heads at once would dominate the result.

   The pauses of wrk are whole milliseconds. All requests of a millisecond come in one burst, and the last of the burst
   waits for all the others. Here each request has a moment of its own. If no connection is free at that moment, the
   request waits for one, and the wait counts. Sleeps are as exact as the kernel allows. Prints a line as heads.lua does:

       RESULT requests microseconds failed broken timeouts p50_us p99_us */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1024, BUFFER = 65536, HEADS = 65536, TOP_US = 1000000 };
struct connection { int socket; size_t filled; double due; char data[BUFFER]; };
static struct connection connections[MOST];
static int free_ones[MOST], free_count;
static unsigned took[TOP_US + 1];
static const char *heads[HEADS];
static size_t lengths[HEADS];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int load(const char *name) {
    struct stat about;
    int file = open(name, O_RDONLY), count = 0;
    if (file < 0 || fstat(file, &about)) exit(2);
    char *all = malloc(about.st_size + 1);
    if (read(file, all, about.st_size) != about.st_size) exit(2);
    all[about.st_size] = 0;
    for (char *at = all; at < all + about.st_size && count < HEADS; at += lengths[count++] + 1)
        lengths[count] = strlen(heads[count] = at);
    return count;
}

/* Returns 1 for a complete 2xx response, -1 for another complete response, 0 if it is not complete yet. */
static int answered(struct connection *c) {
    c->data[c->filled] = 0;
    char *end = strstr(c->data, "\r\n\r\n"), *length = strcasestr(c->data, "\r\ncontent-length:");
    if (!end || !length || length > end) return 0;
    if (c->filled < (size_t)(end + 4 - c->data) + strtoul(length + 17, NULL, 10)) return 0;
    return c->data[9] == '2' ? 1 : -1;
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    double rate = atof(argv[2]), warm = atof(argv[3]), seconds = atof(argv[4]);
    int wide = atoi(argv[5]), count = load(argv[6]), one = 1, poll = epoll_create1(0);
    if (wide > MOST || !count) return 2;
    for (int i = 0; i < wide; i++) {
        connections[i].socket = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(connections[i].socket, (void *)&to, sizeof to)) return 3;
        setsockopt(connections[i].socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        fcntl(connections[i].socket, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].socket, &event);
        free_ones[free_count++] = i;
    }
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    srand48(1);
    unsigned long requests = 0, failed = 0, broken = 0, sent = 0;
    double due = now(), began = due + warm;
    while (now() < began + seconds && !broken) {
        while (free_count && due <= now()) {
            struct connection *c = &connections[free_ones[--free_count]];
            c->due = due, c->filled = 0;
            if (write(c->socket, heads[sent % count], lengths[sent % count]) != (ssize_t)lengths[sent % count]) broken++;
            sent++;
            due -= log(1.0 - drand48()) / rate;
        }
        struct epoll_event ready[64];
        double left = free_count ? due - now() : 1e-3;
        struct timespec until = {.tv_nsec = left > 0 ? (long)(fmin(left, 0.1) * 1e9) : 0};
        int many = epoll_pwait2(poll, ready, 64, &until, NULL);
        for (int i = 0; i < many; i++) {
            struct connection *c = &connections[ready[i].data.u32];
            ssize_t came = read(c->socket, c->data + c->filled, BUFFER - 1 - c->filled);
            if (came <= 0) { if (came == 0 || errno != EAGAIN) broken++; continue; }
            c->filled += came;
            int good = answered(c);
            if (!good) continue;
            free_ones[free_count++] = ready[i].data.u32;
            if (c->due < began) continue;
            double us = (now() - c->due) * 1e6;
            took[us < TOP_US ? (int)us : TOP_US]++, requests++, failed += good < 0;
        }
    }
    unsigned long below = 0, p50 = 0, p99 = 0;
    for (int us = 0; us <= TOP_US; us++) {
        below += took[us];
        if (!p50 && below * 2 >= requests) p50 = us;
        if (!p99 && below * 100 >= requests * 99) { p99 = us; break; }
    }
    printf("RESULT %lu %.0f %lu %lu 0 %lu %lu\n", requests, (now() - began) * 1e6, failed, broken, p50, p99);
    return 0;
}
