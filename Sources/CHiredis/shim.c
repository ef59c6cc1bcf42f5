#include "CHiredis.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(CHIREDIS_STRING == REDIS_REPLY_STRING, "hiredis' reply types");
_Static_assert(CHIREDIS_ARRAY == REDIS_REPLY_ARRAY, "hiredis' reply types");
_Static_assert(CHIREDIS_INTEGER == REDIS_REPLY_INTEGER, "hiredis' reply types");
_Static_assert(CHIREDIS_NIL == REDIS_REPLY_NIL, "hiredis' reply types");
_Static_assert(CHIREDIS_STATUS == REDIS_REPLY_STATUS, "hiredis' reply types");
_Static_assert(CHIREDIS_ERROR == REDIS_REPLY_ERROR, "hiredis' reply types");

struct chiredis_reader {
    redisReader *hiredis;
    chiredis_token *tokens;
    size_t token_count, token_room;
    uint8_t *bytes;
    size_t byte_count, byte_room;
    size_t max_bytes;
    int delivered; // the reply in tokens has been handed out; the next one starts from the front
};

// hiredis expects an object for each value and passes the parent's to its children. The order of the tokens already has
// that information, so any pointer other than NULL will do.
static void *push(const redisReadTask *task, int type, int64_t number, size_t offset)
{
    chiredis_reader *reader = task->privdata;
    if (type < CHIREDIS_STRING || type > CHIREDIS_ERROR) return NULL; // a RESP3 type, see below
    if (reader->token_count == reader->token_room) {
        size_t room = reader->token_room ? reader->token_room * 2 : 16;
        chiredis_token *grown = realloc(reader->tokens, room * sizeof *grown);
        if (!grown) return NULL;
        reader->tokens = grown;
        reader->token_room = room;
    }
    reader->tokens[reader->token_count++] = (chiredis_token){ number, offset, type };
    return reader;
}

static void *create_string(const redisReadTask *task, char *text, size_t length)
{
    chiredis_reader *reader = task->privdata;
    if (length > reader->max_bytes - reader->byte_count) return NULL;
    if (length > reader->byte_room - reader->byte_count) {
        size_t room = reader->byte_room ? reader->byte_room : 512;
        while (room - reader->byte_count < length) room *= 2;
        uint8_t *grown = realloc(reader->bytes, room);
        if (!grown) return NULL;
        reader->bytes = grown;
        reader->byte_room = room;
    }
    memcpy(reader->bytes + reader->byte_count, text, length);
    size_t offset = reader->byte_count;
    reader->byte_count += length;
    return push(task, task->type, (int64_t)length, offset);
}

// hiredis 0.14 supports no deeper nesting; 1.x would nest arrays as long as there is memory.
static void *push_array(const redisReadTask *task, int64_t elements)
{
    int depth = 1;
    for (const redisReadTask *outer = task->parent; outer; outer = outer->parent) depth++;
    return depth > CHIREDIS_MAX_DEPTH ? NULL : push(task, task->type, elements, 0);
}

#if HIREDIS_MAJOR >= 1
static void *create_array(const redisReadTask *task, size_t elements) { return push_array(task, (int64_t)elements); }
#else
static void *create_array(const redisReadTask *task, int elements) { return push_array(task, elements); }
#endif

static void *create_integer(const redisReadTask *task, long long value) { return push(task, task->type, value, 0); }
// The task's type is that of the missing value: a string's for $-1, an array's for *-1.
static void *create_nil(const redisReadTask *task) { return push(task, CHIREDIS_NIL, 0, 0); }
static void free_object(void *object) { (void)object; } // tokens and bytes belong to the reader

#if HIREDIS_MAJOR >= 1
// RESP3 is never requested (no HELLO 3), so its types cannot come from a real Redis and are refused.
static void *refuse_double(const redisReadTask *t, double v, char *s, size_t n) { (void)t, (void)v, (void)s, (void)n; return NULL; }
static void *refuse_bool(const redisReadTask *t, int v) { (void)t, (void)v; return NULL; }
#endif

static redisReplyObjectFunctions functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
    .freeObject = free_object,
#if HIREDIS_MAJOR >= 1
    .createDouble = refuse_double,
    .createBool = refuse_bool,
#endif
};

chiredis_reader *chiredis_reader_create(size_t max_bytes)
{
    chiredis_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return NULL;
    reader->max_bytes = max_bytes;
    reader->hiredis = redisReaderCreateWithFunctions(&functions);
    if (!reader->hiredis) {
        free(reader);
        return NULL;
    }
    reader->hiredis->privdata = reader;
    return reader;
}

void chiredis_reader_free(chiredis_reader *reader)
{
    if (!reader) return;
    redisReaderFree(reader->hiredis);
    free(reader->tokens);
    free(reader->bytes);
    free(reader);
}

int chiredis_reader_feed(chiredis_reader *reader, const void *bytes, size_t length)
{
    return redisReaderFeed(reader->hiredis, bytes, length) == REDIS_OK ? 0 : -1;
}

int chiredis_reader_next(chiredis_reader *reader, chiredis_reply *reply)
{
    if (reader->delivered) {
        // Do not keep the memory of one huge reply forever.
        if (reader->byte_room > (1 << 20)) {
            free(reader->bytes);
            reader->bytes = NULL;
            reader->byte_room = 0;
        }
        reader->token_count = reader->byte_count = 0;
        reader->delivered = 0;
    }
    void *object = NULL;
    if (redisReaderGetReply(reader->hiredis, &object) != REDIS_OK) return -1;
    if (!object) return 0;
    reader->delivered = 1;
    *reply = (chiredis_reply){ reader->tokens, reader->token_count, reader->bytes, reader->byte_count };
    return 1;
}

const char *chiredis_reader_error(const chiredis_reader *reader) { return reader->hiredis->errstr; }
