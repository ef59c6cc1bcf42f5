// Random rounds over Sources/CHiredis/shim.c, for valgrind: feeds random bytes, and reads every reply to its last
// byte. Prints what it saw and exits with 0; with 1 on a wrong reply.
//
//   gcc -O1 -g -Wall -Wextra -Werror -ISources/CHiredis/include -o .build/fuzz_hiredis
//       Tests/RedisClient/fuzz_hiredis.c Sources/CHiredis/shim.c -lhiredis
//   valgrind -q --leak-check=full --show-leak-kinds=all --error-exitcode=9 .build/fuzz_hiredis 3000 1
#include "CHiredis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static uint64_t next_random(void) // SplitMix64
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(size_t limit) { return (size_t)(next_random() % limit); }

typedef struct buffer {
    uint8_t bytes[1 << 16];
    size_t count;
} buffer;

static void put(buffer *out, const void *bytes, size_t count)
{
    if (count > sizeof out->bytes - out->count) count = sizeof out->bytes - out->count;
    memcpy(out->bytes + out->count, bytes, count);
    out->count += count;
}

static void put_text(buffer *out, const char *text) { put(out, text, strlen(text)); }

static void put_reply(buffer *out, int depth)
{
    char line[64];
    switch (below(depth < 7 ? 8 : 6)) {
    case 0: put_text(out, "$-1\r\n"); return;
    case 1: put_text(out, "*-1\r\n"); return;
    case 2: put_text(out, "+status\r\n"); return;
    case 3: put_text(out, "-ERR error\r\n"); return;
    case 4:
        snprintf(line, sizeof line, ":%" PRId64 "\r\n", (int64_t)next_random());
        put_text(out, line);
        return;
    case 5: {
        size_t length = below(3) ? below(40) : below(3000);
        snprintf(line, sizeof line, "$%zu\r\n", length);
        put_text(out, line);
        for (size_t i = 0; i < length; i++) {
            uint8_t byte = (uint8_t)next_random();
            put(out, &byte, 1);
        }
        put_text(out, "\r\n");
        return;
    }
    default: {
        size_t elements = below(5);
        snprintf(line, sizeof line, "*%zu\r\n", elements);
        put_text(out, line);
        for (size_t i = 0; i < elements; i++) put_reply(out, depth + 1);
    }
    }
}

static void mutate(buffer *out)
{
    static const char special[] = "*$:+-\r\n0123456789_,#%~>(=|!";
    for (size_t changes = below(5); changes > 0 && out->count > 0; changes--) {
        size_t at = below(out->count);
        switch (below(4)) {
        case 0: out->bytes[at] ^= (uint8_t)(1u << below(8)); break;
        case 1: out->bytes[at] = (uint8_t)special[below(sizeof special - 1)]; break;
        case 2: out->count = at; break;
        default:
            memmove(out->bytes + at, out->bytes + at + 1, out->count - at - 1);
            out->count--;
        }
    }
}

// Reads every byte of a reply, so that valgrind detects invalid ones. 0: the tokens do not form a tree.
static int check(const chiredis_reply *reply, uint64_t *sum)
{
    int64_t missing = 1;
    for (size_t i = 0; i < reply->token_count; i++) {
        const chiredis_token *token = &reply->tokens[i];
        missing--;
        *sum += (uint64_t)token->number;
        switch (token->type) {
        case CHIREDIS_STRING: case CHIREDIS_STATUS: case CHIREDIS_ERROR:
            if (token->number < 0 || token->offset + (size_t)token->number > reply->byte_count) return 0;
            for (int64_t b = 0; b < token->number; b++) *sum += reply->bytes[token->offset + (size_t)b];
            break;
        case CHIREDIS_ARRAY:
            if (token->number < 0) return 0;
            missing += token->number;
            break;
        case CHIREDIS_INTEGER: case CHIREDIS_NIL: break;
        default: return 0;
        }
    }
    return missing == 0;
}

static int read_round(uint64_t *replies, uint64_t *refused, uint64_t *sum)
{
    static buffer wire;
    wire.count = 0;
    for (size_t count = 1 + below(4); count > 0; count--) put_reply(&wire, 0);
    if (below(2)) mutate(&wire);
    chiredis_reader *reader = chiredis_reader_create(below(4) ? 1 << 20 : below(2000));
    if (!reader) return 0;
    size_t at = 0, piece = below(2) ? 1 + below(20) : wire.count;
    int good = 1, over = 0;
    while (at < wire.count && !over) {
        size_t count = piece < wire.count - at ? piece : wire.count - at;
        if (chiredis_reader_feed(reader, wire.bytes + at, count) != 0) over = 1;
        at += count;
        chiredis_reply reply;
        int status = 0;
        while (!over && (status = chiredis_reader_next(reader, &reply)) == 1) {
            good = good && check(&reply, sum);
            ++*replies;
        }
        if (status < 0) over = 1;
    }
    if (over) {
        ++*refused;
        good = good && strlen(chiredis_reader_error(reader)) > 0;
    }
    chiredis_reader_free(reader); // sometimes in the middle of a reply
    return good;
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : 10000;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t replies = 0, refused = 0, sum = 0;
    for (long round = 0; round < rounds; round++) {
        if (!read_round(&replies, &refused, &sum)) {
            fprintf(stderr, "round %ld of seed %s is wrong\n", round, argc > 2 ? argv[2] : "1");
            return 1;
        }
    }
    printf("%ld rounds, %" PRIu64 " replies, %" PRIu64 " refused, sum %" PRIu64 "\n", rounds, replies, refused, sum);
    return 0;
}
