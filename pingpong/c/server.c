/* The server: answers each ping with a pong, as pingpong/server.py does.
 *
 * Role      server
 * Socket    REP, bound
 * Messages  Ping in, Pong out, one frame each (proto/messages.proto)
 *
 * Usage: server [--insecure] [ENDPOINT]
 *
 * Exit status 0 when it was told to end, 1 when it cannot serve, 2 for wrong
 * usage.
 */
#include "endpoint.h"

static void reply(void *rep, const Pong *pong)
{
    zmq_msg_t frame;
    if (zmq_msg_init_size(&frame,
                          beyondhttp__v1__pong__get_packed_size(pong)) == -1)
        die("make a message");
    beyondhttp__v1__pong__pack(pong, zmq_msg_data(&frame));
    if (zmq_msg_send(&frame, rep, 0) == -1)
        die("send");
}

/* Answer the request that is waiting, and count it. */
static void answer(void *rep, unsigned long *answered, unsigned long *refused)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    Pong pong = BEYONDHTTP__V1__PONG__INIT;
    Ping *ping = NULL;
    int frames = receive(rep, &frame);
    if (frames == 0)
        return;
    if (frames > 1)
        pong.error = "not a Ping: several frames, not one";
    else if (zmq_msg_size(&frame) > MAX_MESSAGE)
        pong.error = "too long: more than 1048576 bytes";
    else if (!(ping = beyondhttp__v1__ping__unpack(
                   NULL, zmq_msg_size(&frame), zmq_msg_data(&frame))))
        pong.error = "not a Ping: protobuf cannot read it";
    else if (ping->id == 0)
        pong.error = "not a Ping: its id is 0 or missing";
    else {
        pong.id = ping->id;
        pong.payload = ping->payload;
    }
    ++*(pong.id ? answered : refused);
    reply(rep, &pong);
    if (ping)
        beyondhttp__v1__ping__free_unpacked(ping, NULL);
    zmq_msg_close(&frame);
}

int main(int argc, char **argv)
{
    bool insecure = argc > 1 && strcmp(argv[1], "--insecure") == 0;
    argc -= insecure;
    argv += insecure;
    explain("server [--insecure] [ENDPOINT]", argc, argv, 1);
    const char *endpoint = argc > 1 ? argv[1] : "tcp://127.0.0.1:5555";
    check_form(endpoint, true);
    if (!insecure)
        check_exposure(endpoint);
    check_taken(endpoint);
    int stop = stop_descriptor();
    void *context = zmq_ctx_new();
    void *rep = zmq_socket(context, ZMQ_REP);
    if (!rep)
        die("make a socket");
    int64_t largest = 2 * MAX_MESSAGE;
    zmq_setsockopt(rep, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    int handshake = 2000; /* milliseconds; a peer that is silent is cut off */
    zmq_setsockopt(rep, ZMQ_HANDSHAKE_IVL, &handshake, sizeof handshake);
    set_family(rep, endpoint);
    int linger = 500; /* milliseconds that a last reply has to leave */
    zmq_setsockopt(rep, ZMQ_LINGER, &linger, sizeof linger);
    if (zmq_bind(rep, endpoint) == -1)
        die("bind");
    char real[256];
    size_t length = sizeof real;
    zmq_getsockopt(rep, ZMQ_LAST_ENDPOINT, real, &length);
    printf("Listening on %s\n", real);
    printed();

    unsigned long answered = 0, refused = 0;
    zmq_pollitem_t either[] = {{rep, 0, ZMQ_POLLIN, 0},
                               {NULL, stop, ZMQ_POLLIN, 0}};
    // region loop
    for (;;) {
        if (zmq_poll(either, 2, -1) == -1)
            die("poll");
        if (either[1].revents)
            break;
        answer(rep, &answered, &refused);
    }
    // endregion
    printf("Answered %lu pings, refused %lu requests\n", answered, refused);
    printed();
    zmq_close(rep);
    zmq_ctx_term(context);
    if (ipc_path(endpoint))
        unlink(ipc_path(endpoint)); /* libzmq leaves it */
    return 0;
}
