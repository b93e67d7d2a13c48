/* Sends lines of a file as fast as asked: the load of bench/syslog.py. Built there with cc.
 *
 *   syslog_sender udp PORT RATE SECONDS FILE    datagrams from 64 loopback addresses, RATE a second, by sendmmsg(2)
 *   syslog_sender tcp PORT COUNT FILE           COUNT octet-counted frames (RFC 6587) on one connection, no pause
 *
 * Prints how many were sent and in how many seconds. Behind in time, it sends faster until it has caught up.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_LINES = 100000, SOURCES = 64, BATCH = 64 };

static struct iovec lines[MAX_LINES];
static size_t line_count;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void read_lines(const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    if (!file) fail(path);
    while (line_count < MAX_LINES && (length = getline(&line, &room, file)) > 0) {
        lines[line_count].iov_base = memcpy(malloc(length), line, length);
        lines[line_count++].iov_len = length - 1;
    }
    fclose(file);
}

static int connected(int type, int source, int port) {
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int made = socket(AF_INET, type, 0);
    from.sin_addr.s_addr = htonl(0x7f000100 + source); /* 127.0.1.0 and on */
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (made < 0 || bind(made, (void *)&from, sizeof from) || connect(made, (void *)&to, sizeof to)) fail("socket");
    return made;
}

static long blast(int port, double rate, double seconds) {
    int sockets[SOURCES];
    struct mmsghdr batch[BATCH] = {0};
    long sent = 0, total = (long)(rate * seconds);
    double began = now();
    for (int i = 0; i < SOURCES; i++) sockets[i] = connected(SOCK_DGRAM, i + 1, port);
    while (sent < total) {
        long due = (long)((now() - began) * rate) - sent;
        if (due < 1 || (due < BATCH / 2 && sent + due < total)) {
            usleep(200);
            continue;
        }
        int count = due > BATCH ? BATCH : (int)due;
        if (sent + count > total) count = (int)(total - sent);
        for (int i = 0; i < count; i++) {
            batch[i].msg_hdr.msg_iov = &lines[(sent + i) % line_count];
            batch[i].msg_hdr.msg_iovlen = 1;
        }
        int done = sendmmsg(sockets[(sent / BATCH) % SOURCES], batch, count, 0);
        if (done < 0) fail("sendmmsg");
        sent += done;
    }
    printf("%ld %.3f\n", sent, now() - began);
    return sent;
}

static void stream(int port, long count) {
    enum { CHUNK = 65536 };
    static char buffer[CHUNK + 70000];
    int opened = connected(SOCK_STREAM, 1, port);
    size_t held = 0;
    double began = now();
    for (long sent = 0; sent < count; sent++) {
        struct iovec line = lines[sent % line_count];
        held += sprintf(buffer + held, "%zu ", line.iov_len);
        memcpy(buffer + held, line.iov_base, line.iov_len);
        held += line.iov_len;
        if (held >= CHUNK || sent == count - 1) {
            for (size_t at = 0; at < held;) {
                ssize_t done = write(opened, buffer + at, held - at);
                if (done < 0) fail("write");
                at += done;
            }
            held = 0;
        }
    }
    printf("%ld %.3f\n", count, now() - began);
    close(opened);
}

int main(int argc, char **argv) {
    if (argc == 6 && !strcmp(argv[1], "udp")) {
        read_lines(argv[5]);
        blast(atoi(argv[2]), atof(argv[3]), atof(argv[4]));
    } else if (argc == 5 && !strcmp(argv[1], "tcp")) {
        read_lines(argv[4]);
        stream(atoi(argv[2]), atol(argv[3]));
    } else {
        fprintf(stderr, "syslog_sender udp PORT RATE SECONDS FILE | tcp PORT COUNT FILE\n");
        return 64;
    }
    return 0;
}
