/* The client: asks until it is answered, as pingpong/client.py does.
 *
 * Role      client
 * Socket    REQ, connected
 * Messages  Ping out, Pong in, one frame each (proto/messages.proto)
 *
 * Usage: client [ENDPOINT [COUNT [SIZE]]]
 *
 * Exit status 0 when every ping came back, 1 when not, 2 for wrong usage.
 */
#include "endpoint.h"

enum { TIMEOUT = 1000, TRIES = 6 }; /* milliseconds; the Lazy Pirate's */

static void *context;
static const char *endpoint = "tcp://127.0.0.1:5555";

static void *open_socket(void)
{
    void *req = zmq_socket(context, ZMQ_REQ);
    if (!req)
        die("make a socket");
    int linger = 0; /* forget what an abandoned socket has not sent */
    zmq_setsockopt(req, ZMQ_LINGER, &linger, sizeof linger);
    int bound = TIMEOUT;
    zmq_setsockopt(req, ZMQ_SNDTIMEO, &bound, sizeof bound);
    int64_t largest = MAX_MESSAGE; /* a pong is no longer than its ping */
    zmq_setsockopt(req, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    set_family(req, endpoint);
    if (zmq_connect(req, endpoint) == -1)
        die("connect");
    return req;
}

static void ask(void *req, const Ping *ping)
{
    zmq_msg_t frame;
    if (zmq_msg_init_size(&frame,
                          beyondhttp__v1__ping__get_packed_size(ping)) == -1)
        die("make a message");
    beyondhttp__v1__ping__pack(ping, zmq_msg_data(&frame));
    if (zmq_msg_send(&frame, req, 0) == -1)
        die("send");
}

/* Read the answer; return what is wrong with it, or NULL. */
static const char *check(void *req, const Ping *ping)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    const char *wrong = NULL;
    Pong *pong = NULL;
    if (receive(req, &frame) != 1 ||
        !(pong = beyondhttp__v1__pong__unpack(NULL, zmq_msg_size(&frame),
                                              zmq_msg_data(&frame))))
        wrong = "the server's answer is not a Pong";
    else if (*pong->error)
        wrong = "the server refused";
    else if (pong->id != ping->id)
        wrong = "the server's answer is for another ping";
    else if (pong->payload.len != ping->payload.len ||
             (ping->payload.len && /* else protobuf-c has NULL for it */
              memcmp(pong->payload.data, ping->payload.data,
                     ping->payload.len) != 0))
        wrong = "the server's answer has another payload";
    if (pong)
        beyondhttp__v1__pong__free_unpacked(pong, NULL);
    zmq_msg_close(&frame);
    return wrong;
}

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static unsigned long number(const char *text, unsigned long least,
                            unsigned long most)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || value < least ||
        value > most) {
        fprintf(stderr, "%s is not a number from %lu to %lu.\n", text, least,
                most);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    explain("client [ENDPOINT [COUNT [SIZE]]]", argc, argv, 3);
    endpoint = argc > 1 ? argv[1] : endpoint;
    check_form(endpoint, false);
    unsigned long count = argc > 2 ? number(argv[2], 1, 1000000000) : 10;
    size_t size = argc > 3 ? number(argv[3], 0, MAX_MESSAGE - 64) : 56;

    Ping ping = BEYONDHTTP__V1__PING__INIT;
    ping.payload.len = size;
    ping.payload.data = calloc(size + 1, 1);
    int stop = stop_descriptor();
    context = zmq_ctx_new();
    if (!ping.payload.data || !context)
        die("start");
    void *req = open_socket();
    unsigned long seq, received = 0, retries = 0;
    bool stopped = false;
    for (seq = 0; seq < count && !stopped;) {
        seq++;
        if (getrandom(&ping.id, sizeof ping.id, 0) != sizeof ping.id)
            die("draw an id");
        ping.id |= 1; /* never 0 */
        double began = milliseconds();
        const char *wrong = "no answer; is a server listening?";
        for (int tries = 1; tries <= TRIES && !stopped; tries++) {
            ask(req, &ping);
            zmq_pollitem_t either[] = {{req, 0, ZMQ_POLLIN, 0},
                                       {NULL, stop, ZMQ_POLLIN, 0}};
            if (zmq_poll(either, 2, TIMEOUT) == -1)
                die("poll");
            stopped = either[1].revents;
            if (either[0].revents) {
                wrong = check(req, &ping);
                break;
            }
            if (stopped)
                wrong = "interrupted";
            zmq_close(req); /* after silence REQ is good for nothing else */
            req = open_socket();
            retries += tries < TRIES && !stopped;
        }
        if (wrong)
            printf("lost seq=%lu: %s\n", seq, wrong);
        else {
            received++;
            printf("pong seq=%lu time=%.3f ms\n", seq,
                   milliseconds() - began);
        }
    }
    printf("%lu sent, %lu received, %lu lost, %lu retries\n", seq, received,
           seq - received, retries);
    printed();
    zmq_close(req);
    zmq_ctx_term(context);
    free(ping.payload.data);
    return received == count ? 0 : stopped ? 130 : 1;
}
