/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange_mem: the port in memory.
 */
#include "exchange_mem.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static void enter(pw_mem_t *mem)
{
    if (__atomic_add_fetch(&mem->inside, 1, __ATOMIC_SEQ_CST) != 1) {
        __atomic_add_fetch(&mem->overlaps, 1, __ATOMIC_SEQ_CST);
    }
}

static void leave(pw_mem_t *mem)
{
    __atomic_sub_fetch(&mem->inside, 1, __ATOMIC_SEQ_CST);
}

/* ---- the five functions ------------------------------------------------ */

static void variables(pw_exchange_t *x, pw_emit_t *to)
{
    static const char *const names[] = {
#define NAME(name, kind) #name,
        PW_VARS(NAME)
#undef NAME
    };
    const pw_mem_t *mem = (pw_mem_t *)x;
    const apr_array_header_t *rows = apr_table_elts(mem->variables);
    const apr_table_entry_t *e = (const apr_table_entry_t *)rows->elts;

    for (int i = 0; i < rows->nelts; i++) {
        int known = 0;

        while (known < PW_VAR_COUNT && strcmp(names[known], e[i].key) != 0) {
            known++;
        }
        if (known < PW_VAR_COUNT) {
            to->variable(to, (pw_var_e)known, e[i].val);
        }
        else {
            to->other(to, e[i].key, e[i].val);
        }
    }
}

static apr_status_t read_body(pw_exchange_t *x, char *buf, apr_size_t *len)
{
    pw_mem_t *mem = (pw_mem_t *)x;
    apr_size_t left = mem->body_len - mem->body_pos;
    apr_status_t rv = APR_SUCCESS;

    enter(mem);
    if (mem->read_delay > 0) {
        usleep((useconds_t)mem->read_delay);
    }
    if (left == 0) {
        *len = 0;
        rv = mem->body_error;
    }
    else {
        *len = *len < left ? *len : left;
        *len = *len < mem->body_step ? *len : mem->body_step;
        memcpy(buf, mem->body + mem->body_pos, *len);
        mem->body_pos += *len;
    }
    leave(mem);
    return rv;
}

static int begin(pw_exchange_t *x, int status, const char *status_line,
                 const apr_array_header_t *headers, apr_off_t content_length)
{
    pw_mem_t *mem = (pw_mem_t *)x;

    enter(mem);
    mem->begun++;
    mem->status = status;
    mem->status_line = apr_pstrdup(x->pool, status_line);
    mem->headers = apr_array_copy(x->pool, headers);
    mem->length = content_length;
    leave(mem);
    return mem->begun == 1 ? 0 : -1;
}

static apr_status_t take(pw_mem_t *mem, apr_bucket *bucket)
{
    const char *data;
    apr_size_t len;
    apr_status_t rv;

    mem->flushes += APR_BUCKET_IS_FLUSH(bucket) ? 1 : 0;
    mem->files += APR_BUCKET_IS_FILE(bucket) ? 1 : 0;
    mem->ended += APR_BUCKET_IS_EOS(bucket) ? 1 : 0;
    if (APR_BUCKET_IS_METADATA(bucket)) {
        return APR_SUCCESS;
    }
    rv = apr_bucket_read(bucket, &data, &len, APR_BLOCK_READ);
    if (rv == APR_SUCCESS && len > 0) {
        mem->out = realloc(mem->out, mem->out_len + len + 1);
        memcpy(mem->out + mem->out_len, data, len);
        mem->out_len += len;
        mem->out[mem->out_len] = '\0';
    }
    return mem->out_len > mem->gone_at ? APR_ECONNABORTED : rv;
}

static apr_status_t pass(pw_exchange_t *x, apr_bucket_brigade *bb)
{
    pw_mem_t *mem = (pw_mem_t *)x;
    apr_status_t rv = APR_SUCCESS;

    enter(mem);
    mem->passes++;
    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *bucket = APR_BRIGADE_FIRST(bb);

        rv = take(mem, bucket);
        apr_bucket_delete(bucket);
    }
    apr_brigade_cleanup(bb);
    leave(mem);
    return rv;
}

static void mem_abort(pw_exchange_t *x)
{
    ((pw_mem_t *)x)->aborted++;
}

/* All of the body is there from the start. */
static apr_status_t read_ahead(pw_exchange_t *x, apr_size_t limit)
{
    (void)x;
    (void)limit;
    return APR_SUCCESS;
}

static int gone(pw_exchange_t *x)
{
    (void)x;
    return 0;
}

static const pw_exchange_ops_t ops = {
    .variables = variables,
    .read_body = read_body,
    .read_ahead = read_ahead,
    .gone = gone,
    .begin = begin,
    .pass = pass,
    .abort = mem_abort,
};

/* ---- the test's side --------------------------------------------------- */

static void log_write(void *where, pw_log_level_e level, const char *line)
{
    pw_mem_t *mem = where;
    size_t used;

    pthread_mutex_lock(&mem->log_mutex);
    used = strlen(mem->log_text);
    apr_snprintf(mem->log_text + used, sizeof(mem->log_text) - used,
                 "<%d> %s\n", (int)level, line);
    pthread_mutex_unlock(&mem->log_mutex);
}

/* As the FRONT would: SCRIPT_NAME empty, the query behind the question mark. */
static void set_variables(pw_mem_t *mem, const char *method, const char *path)
{
    apr_pool_t *pool = mem->x.pool;
    const char *query = strchr(path, '?');
    apr_table_t *v = apr_table_make(pool, 16);

    apr_table_setn(v, "REQUEST_METHOD", method);
    apr_table_setn(v, "SCRIPT_NAME", "");
    apr_table_setn(v, "PATH_INFO",
                   query ? apr_pstrmemdup(pool, path, (size_t)(query - path))
                         : path);
    apr_table_setn(v, "QUERY_STRING", query ? query + 1 : "");
    apr_table_setn(v, "SERVER_NAME", "localhost");
    apr_table_setn(v, "SERVER_PORT", "80");
    apr_table_setn(v, "SERVER_PROTOCOL", "HTTP/1.1");
    apr_table_setn(v, "HTTP_X_LATIN", "caf\xe9");
    mem->variables = v;
}

pw_mem_t *pw_mem_create(const char *method, const char *path)
{
    pw_mem_t *mem;
    apr_pool_t *pool;

    apr_pool_create(&pool, NULL);
    mem = apr_pcalloc(pool, sizeof(*mem));
    pthread_mutex_init(&mem->log_mutex, NULL);
    mem->x = (pw_exchange_t){
        .ops = &ops,
        .pool = pool,
        .buckets = apr_bucket_alloc_create(pool),
        .log = {.write = log_write, .where = mem},
        .method = apr_pstrdup(pool, method),
        .uri = apr_pstrdup(pool, path),
        .scheme = "http",
        .head = strcmp(method, "HEAD") == 0,
        .input_terminated = 1,
        .multithread = 1,
    };
    set_variables(mem, mem->x.method, mem->x.uri);
    mem->gone_at = (apr_size_t)-1;
    mem->body_step = (apr_size_t)-1;
    mem->length = -2;
    return mem;
}

void pw_mem_destroy(pw_mem_t *mem)
{
    pthread_mutex_destroy(&mem->log_mutex);
    free(mem->out);
    apr_pool_destroy(mem->x.pool);
}

void pw_mem_set_body(pw_mem_t *mem, const char *body, apr_size_t len)
{
    mem->body = body;
    mem->body_len = len;
    mem->x.has_body = 1;
}

const char *pw_mem_header(const pw_mem_t *mem, const char *name)
{
    for (int i = 0; mem->headers && i < mem->headers->nelts; i++) {
        const pw_header_t *h = &APR_ARRAY_IDX(mem->headers, i, pw_header_t);

        if (strcasecmp(h->name, name) == 0) {
            return h->value;
        }
    }
    return NULL;
}

int pw_mem_logged(pw_mem_t *mem, const char *text)
{
    const char *at;
    int count = 0;

    pthread_mutex_lock(&mem->log_mutex);
    at = strstr(mem->log_text, text);
    while (at) {
        count++;
        at = strstr(at + 1, text);
    }
    pthread_mutex_unlock(&mem->log_mutex);
    return count;
}
