/* What both programs need: the messages, and an honest way to give up. */
#pragma once

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/messages.pb-c.h"

typedef Beyondhttp__V1__Ping Ping;
typedef Beyondhttp__V1__Pong Pong;

enum { MAX_MESSAGE = 1024 * 1024 };

static inline void die(const char *doing)
{
    fprintf(stderr, "Cannot %s: %s.\n", doing, zmq_strerror(errno));
    exit(1);
}

/* Print `usage` and end: well where --help asked for it, else with 2. */
static inline void explain(const char *usage, int argc, char **argv, int most)
{
    bool asked = argc > 1 && (strcmp(argv[1], "-h") == 0 ||
                              strcmp(argv[1], "--help") == 0);
    if (!asked && argc - 1 <= most && (argc < 2 || *argv[1] != '-'))
        return;
    fprintf(asked ? stdout : stderr, "Usage: %s\n", usage);
    exit(asked ? 0 : 2);
}

/* printf only fills a buffer; what becomes of that is known here. */
static inline void printed(void)
{
    if (fflush(stdout) || ferror(stdout))
        die("print");
}

/* SIGINT and SIGTERM become a descriptor that zmq_poll can watch, so none
 * can slip in between a look at a flag and the poll. */
static inline int stop_descriptor(void)
{
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    int stop = signalfd(-1, &ending, SFD_CLOEXEC);
    if (stop == -1)
        die("watch for signals");
    return stop;
}

/* Receive the message that is there; return how many frames it has. That
 * is 0 where it had no envelope: zmq_poll saw it, but the socket drops it. */
static inline int receive(void *socket, zmq_msg_t *frame)
{
    int frames = 0;
    do {
        if (zmq_msg_recv(frame, socket, ZMQ_DONTWAIT) == -1) {
            if (errno == EAGAIN)
                return 0;
            die("receive");
        }
        frames++;
    } while (zmq_msg_more(frame));
    return frames;
}
