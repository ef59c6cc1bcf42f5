// The part of hiredis that a program with its own sockets needs: the reply reader.
//
// Compiles with hiredis 0.14 (Debian 12) and 1.x (Debian 13). Their differences (the type of array counts, the table of
// reply functions) and hiredis' macros are hidden by this header.
//
// A reply is a flat list of tokens in wire order (an array's token, then its elements, depth first) over one block of
// bytes. Both belong to the reader and are reused for the next reply: a pub/sub message costs no allocation here. Not
// thread-safe: one reader, one thread at a time.
#ifndef CHIREDIS_H
#define CHIREDIS_H

#include <stddef.h>
#include <stdint.h>

// Token types. The numbers are hiredis' own (REDIS_REPLY_*), which shim.c asserts.
enum {
    CHIREDIS_STRING = 1,
    CHIREDIS_ARRAY = 2,
    CHIREDIS_INTEGER = 3,
    CHIREDIS_NIL = 4,
    CHIREDIS_STATUS = 5,
    CHIREDIS_ERROR = 6
};

// Maximum nesting of arrays, including the outermost: the limit of hiredis 0.14.
#define CHIREDIS_MAX_DEPTH 8

typedef struct chiredis_token {
    int64_t number; // an integer's value; an array's element count; otherwise the length in bytes
    size_t offset;  // where the bytes of a string, status or error start in the reply's bytes
    int32_t type;   // CHIREDIS_*
} chiredis_token;

typedef struct chiredis_reply {
    const chiredis_token *tokens;
    size_t token_count;
    const uint8_t *bytes;
    size_t byte_count;
} chiredis_reply;

typedef struct chiredis_reader chiredis_reader;

// A reader that refuses replies whose strings exceed max_bytes in total. NULL when out of memory.
chiredis_reader *chiredis_reader_create(size_t max_bytes);
void chiredis_reader_free(chiredis_reader *reader);

// Copies length bytes from the server into the reader. 0, or -1: see chiredis_reader_error.
int chiredis_reader_feed(chiredis_reader *reader, const void *bytes, size_t length);

// 1: *reply is the next complete reply, valid until the next call on this reader. 0: more bytes are needed.
// -1: the input is not RESP2; the reader cannot be used any more.
int chiredis_reader_next(chiredis_reader *reader, chiredis_reply *reply);

// hiredis' error text. Never NULL; empty when there was no error.
const char *chiredis_reader_error(const chiredis_reader *reader);

#endif
