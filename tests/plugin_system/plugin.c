/* A plugin in C, which starts in a few milliseconds: for tests with hundreds.
 *
 * Role      server, the plugin's side (plugin_system/README.md)
 * Socket    REP, bound to PLUGIN_ENDPOINT
 * Messages  PluginCall in, PluginReply out (proto/messages.proto)
 *
 * Methods: `crash` kills the process, `leave` ends it in good order with exit
 * code 3, and `echo` answers with its argument.
 */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/messages.pb-c.h"

/* The handshake: 4 bytes of length, big-endian, and a PluginReady. */
static void announce(void)
{
    Beyondhttp__V1__PluginReady ready = BEYONDHTTP__V1__PLUGIN_READY__INIT;
    ready.magic = "beyond-http plugin";
    ready.protocol_min = ready.protocol_max = 1;
    Beyondhttp__V1__PluginMethod methods[] = {
        BEYONDHTTP__V1__PLUGIN_METHOD__INIT,
        BEYONDHTTP__V1__PLUGIN_METHOD__INIT,
        BEYONDHTTP__V1__PLUGIN_METHOD__INIT,
    };
    methods[0].name = "crash";
    methods[1].name = "leave";
    methods[2].name = "echo";
    Beyondhttp__V1__PluginMethod *listed[] = {
        &methods[0], &methods[1], &methods[2]};
    ready.n_methods = 3;
    ready.methods = listed;
    uint8_t said[100] = {0};
    said[3] = beyondhttp__v1__plugin_ready__pack(&ready, said + 4);
    int pipe = atoi(getenv("PLUGIN_READY_FD"));
    if (write(pipe, said, 4 + said[3]) != 4 + said[3])
        exit(1);
    close(pipe);
}

static void answer(void *context, void *rep, const zmq_msg_t *request)
{
    Beyondhttp__V1__PluginReply reply = BEYONDHTTP__V1__PLUGIN_REPLY__INIT;
    Beyondhttp__V1__PluginCall *call = beyondhttp__v1__plugin_call__unpack(
        NULL, zmq_msg_size(request), zmq_msg_data((zmq_msg_t *)request));
    if (!call || !call->n_arguments)
        exit(1);
    if (strcmp(call->method, "crash") == 0)
        raise(SIGKILL);
    if (strcmp(call->method, "leave") == 0) {
        zmq_close(rep); /* takes the socket's file with it */
        zmq_ctx_term(context);
        exit(3);
    }
    reply.id = call->id;
    reply.incarnation = call->incarnation;
    reply.outcome_case = BEYONDHTTP__V1__PLUGIN_REPLY__OUTCOME_RESULT;
    reply.result = call->arguments[0];
    uint8_t bytes[1000];
    size_t size = beyondhttp__v1__plugin_reply__pack(&reply, bytes);
    zmq_send(rep, bytes, size, 0);
    beyondhttp__v1__plugin_call__free_unpacked(call, NULL);
}

int main(void)
{
    void *context = zmq_ctx_new();
    void *rep = zmq_socket(context, ZMQ_REP);
    if (zmq_bind(rep, getenv("PLUGIN_ENDPOINT")) == -1)
        return 1;
    announce();
    zmq_pollitem_t items[] = {{rep, 0, ZMQ_POLLIN, 0},
                              {NULL, STDIN_FILENO, ZMQ_POLLIN, 0}};
    /* The host closes stdin, or dies: then we leave. */
    while (zmq_poll(items, 2, -1) > 0 && !items[1].revents) {
        zmq_msg_t request;
        zmq_msg_init(&request);
        zmq_msg_recv(&request, rep, 0);
        answer(context, rep, &request);
        zmq_msg_close(&request);
    }
    zmq_close(rep);
    return zmq_ctx_term(context);
}
