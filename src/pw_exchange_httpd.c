/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_exchange_httpd: CGI variables, request body, response and abort over a
 * request_rec. On the request's own thread, or on one of the application while
 * that waits (pw_exchange.h).
 */
#include "pw_exchange_httpd.h"

#include <apr_portable.h>
#include <apr_strings.h>
#include <httpd.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <util_script.h>
#include <poll.h>

#include "pw_module.h"
#include "pw_resolve.h"

#define GUARD "POLYWSGI_GUARD"

/* The implementation's own part, behind pw_exchange_t.owner. */
typedef struct owner_t {
    request_rec *r;
    const pw_mounted_t *m;
    const char *method;      /* as the application sees it */
    const char *remote_host; /* looked up beforehand: that may block */
    apr_bucket_brigade *in;  /* what is read, but not taken yet; or NULL */
    int body_ended;
    int begun;
    int guarded;    /* guard_filter is in place */
    int pass_auth;  /* WSGIPassAuthorization; -1: not said */
    int override;   /* WSGIErrorOverride is on */
    int overridden; /* the status that httpd shall answer itself, or 0 */
} owner_t;

static owner_t *owner_of(const pw_exchange_t *x)
{
    return x->owner;
}

/* ---- logs -------------------------------------------------------------- */

/* PW_LOG_* are httpd's APLOG_* levels. */
static void log_to_server(void *where, pw_log_level_e level, const char *line)
{
    ap_log_error(APLOG_MARK, (int)level, 0, (server_rec *)where, "%s", line);
}

static void log_to_request(void *where, pw_log_level_e level, const char *line)
{
    ap_log_rerror(APLOG_MARK, (int)level, 0, (request_rec *)where, "%s", line);
}

pw_log_t pw_exchange_httpd_server_log(const server_rec *s)
{
    pw_log_t log = {.write = log_to_server, .where = (void *)s};

    return log;
}

/* ---- variables --------------------------------------------------------- */

/* In `text`, from its end: apr_itoa costs a tenth of all variables. */
static const char *port_text(char text[6], apr_port_t port)
{
    char *digit = text + 5;

    *digit = '\0';
    do {
        *--digit = (char)('0' + port % 10);
        port /= 10;
    } while (port);
    return digit;
}

/* Is it that header, for a lower-case word of four bytes at least? Most names
 * differ before the fourth, and a name that is shorter does too. */
static int is_header(const char *name, const char *word)
{
    for (int i = 0; i < 4; i++) {
        if ((name[i] | 0x20) != word[i]) {
            return 0;
        }
    }
    return !ap_cstr_casecmp(name, word);
}

/* Where nothing is said, the credentials are the application's business only
 * where httpd does not check them itself. */
static int passes_on(const owner_t *o, const char *name)
{
    if (is_header(name, "authorization")
        || is_header(name, "proxy-authorization")) {
        return o->pass_auth >= 0 ? o->pass_auth : ap_auth_type(o->r) == NULL;
    }
    return !is_header(name, "proxy"); /* httpoxy */
}

static void emit_headers(const owner_t *o, pw_emit_t *to)
{
    const apr_array_header_t *headers = apr_table_elts(o->r->headers_in);

    for (int i = 0; i < headers->nelts; i++) {
        const apr_table_entry_t *h =
            &APR_ARRAY_IDX(headers, i, apr_table_entry_t);

        if (is_header(h->key, "content-type")) {
            to->variable(to, PW_VAR_CONTENT_TYPE, h->val);
        }
        else if (is_header(h->key, "content-length")) {
            to->variable(to, PW_VAR_CONTENT_LENGTH, h->val);
        }
        else if (passes_on(o, h->key)) {
            to->header(to, h->key, h->val);
        }
    }
}

/* Escaped, as ap_add_common_vars has it: it may be the Host header. */
static const char *server_name(request_rec *r)
{
    const char *name = ap_get_server_name_for_url(r);

    return strpbrk(name, "<>&\"") ? ap_escape_html(r->pool, name) : name;
}

static void emit_server(request_rec *r, pw_emit_t *to)
{
    char port[6];

    to->variable(to, PW_VAR_GATEWAY_INTERFACE, "CGI/1.1");
    to->variable(to, PW_VAR_SERVER_SOFTWARE, ap_get_server_banner());
    to->variable(to, PW_VAR_SERVER_SIGNATURE, ap_psignature("", r));
    to->variable(to, PW_VAR_SERVER_NAME, server_name(r));
    to->variable(to, PW_VAR_SERVER_ADDR, r->connection->local_ip);
    to->variable(to, PW_VAR_SERVER_PORT,
                 port_text(port, ap_get_server_port(r)));
    to->variable(to, PW_VAR_SERVER_ADMIN, r->server->server_admin);
    to->variable(to, PW_VAR_DOCUMENT_ROOT, ap_document_root(r));
    to->variable(to, PW_VAR_CONTEXT_PREFIX, ap_context_prefix(r));
    to->variable(to, PW_VAR_CONTEXT_DOCUMENT_ROOT, ap_context_document_root(r));
}

static void emit_client(request_rec *r, const owner_t *o, pw_emit_t *to)
{
    char port[6];

    to->variable(to, PW_VAR_REMOTE_ADDR, r->useragent_ip);
    to->variable(to, PW_VAR_REMOTE_PORT,
                 port_text(port, r->useragent_addr->port));
    to->variable(to, PW_VAR_REMOTE_HOST, o->remote_host);
    to->variable(to, PW_VAR_REMOTE_USER, r->user);
    to->variable(to, PW_VAR_AUTH_TYPE, r->user ? r->ap_auth_type : NULL);
}

/* As ap_add_cgi_vars has it: what the client asked for first, before internal
 * redirects. */
static const char *original_uri(const request_rec *r)
{
    while (r->prev) {
        r = r->prev;
    }
    if (r->main && !r->unparsed_uri) {
        return r->uri;
    }
    return r->unparsed_uri ? r->unparsed_uri : r->uri;
}

static void emit_request(request_rec *r, const owner_t *o, pw_emit_t *to)
{
    to->variable(to, PW_VAR_REQUEST_SCHEME, ap_http_scheme(r));
    to->variable(to, PW_VAR_REQUEST_METHOD, o->method);
    to->variable(to, PW_VAR_REQUEST_URI, original_uri(r));
    to->variable(to, PW_VAR_QUERY_STRING, r->args ? r->args : "");
    to->variable(to, PW_VAR_SERVER_PROTOCOL, r->protocol);
    to->variable(to, PW_VAR_SCRIPT_NAME, o->m->script_name);
    to->variable(to, PW_VAR_PATH_INFO, o->m->path_info);
    to->variable(to, PW_VAR_SCRIPT_FILENAME, r->filename);
    if (r->prev) {
        to->variable(to, PW_VAR_REDIRECT_URL, r->prev->uri);
        to->variable(to, PW_VAR_REDIRECT_QUERY_STRING, r->prev->args);
    }
}

/*
 * SetEnv, mod_ssl, mod_rewrite and the REDIRECT_* of internal redirects. What
 * the request itself says stands, as with ap_add_common_vars: in a subrequest
 * of mod_include this table has the CGI variables of the request around it.
 */
static void emit_subprocess_env(const request_rec *r, pw_emit_t *to)
{
    const apr_array_header_t *env = apr_table_elts(r->subprocess_env);

    for (int i = 0; i < env->nelts; i++) {
        const apr_table_entry_t *e = &APR_ARRAY_IDX(env, i, apr_table_entry_t);

        if (e->key && *e->key) {
            to->other(to, e->key, e->val ? e->val : "");
        }
    }
}

static void exchange_variables(pw_exchange_t *x, pw_emit_t *to)
{
    owner_t *o = owner_of(x);
    request_rec *r = o->r;

    emit_server(r, to);
    emit_client(r, o, to);
    emit_request(r, o, to);
    emit_headers(o, to);
    emit_subprocess_env(r, to);
}

/* ---- request body ------------------------------------------------------ */

/* An input filter that refused the request body (LimitRequestBody, a bad
 * chunk) has sent the whole response: nothing may follow it. */
static int already_answered(const request_rec *r)
{
    return r->eos_sent;
}

/*
 * After a failed read no one knows where the next request begins, so this
 * connection has none. AP_FILTER_ERROR is no APR status: the input filter has
 * answered the request itself (see already_answered), and its answer is the
 * reason.
 */
static apr_status_t read_failed(owner_t *o, apr_status_t rv)
{
    request_rec *r = o->r;

    r->connection->keepalive = AP_CONN_CLOSE;
    if (rv != AP_FILTER_ERROR) {
        return rv;
    }
    switch (r->status) {
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return APR_ENOSPC;
    case HTTP_REQUEST_TIME_OUT:
        return APR_TIMEUP;
    default:
        return APR_EGENERAL;
    }
}

/*
 * Output filter. An input filter that refuses the body passes an error and the
 * end of the response. Behind a response that has begun this would be the last
 * chunk: it becomes the error that makes httpd leave that out, see
 * exchange_abort.
 */
static apr_status_t guard_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        if (AP_BUCKET_IS_ERROR(b)) {
            ((ap_bucket_error *)b->data)->status = HTTP_BAD_GATEWAY;
        }
    }
    return ap_pass_brigade(f->next, bb);
}

/* Reads the next brigade where the last one is used up. */
static apr_status_t fill(owner_t *o, apr_size_t want)
{
    request_rec *r = o->r;
    apr_status_t rv;

    if (o->begun && !o->guarded) {
        o->guarded = 1;
        ap_add_output_filter(GUARD, NULL, r, r->connection);
    }
    if (!o->in) {
        o->in = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    }
    rv = ap_get_brigade(r->input_filters, o->in, AP_MODE_READBYTES,
                        APR_BLOCK_READ, (apr_off_t)want);
    if (rv == APR_SUCCESS
        && (APR_BRIGADE_EMPTY(o->in) || already_answered(r))) {
        rv = APR_EGENERAL; /* refused behind a response that has begun */
    }
    return rv;
}

/* Takes from the first bucket: *len is 0 for one that holds no data. */
static apr_status_t take_bucket(owner_t *o, char *buf, apr_size_t *len)
{
    apr_bucket *b = APR_BRIGADE_FIRST(o->in);
    const char *data;
    apr_size_t have, want = *len;
    apr_status_t rv = APR_SUCCESS;

    *len = 0;
    if (APR_BUCKET_IS_EOS(b)) {
        o->body_ended = 1;
    }
    else if (!APR_BUCKET_IS_METADATA(b)) {
        rv = apr_bucket_read(b, &data, &have, APR_BLOCK_READ);
        if (rv == APR_SUCCESS && have > 0) {
            *len = have < want ? have : want;
            memcpy(buf, data, *len);
            if (*len < have) {
                apr_bucket_split(b, *len);
            }
        }
    }
    apr_bucket_delete(b);
    return rv;
}

static apr_status_t exchange_read_body(pw_exchange_t *x, char *buf,
                                       apr_size_t *len)
{
    owner_t *o = owner_of(x);
    apr_size_t want = *len;
    apr_status_t rv = APR_SUCCESS;

    *len = 0;
    while (rv == APR_SUCCESS && *len == 0 && !o->body_ended && want > 0) {
        if (!o->in || APR_BRIGADE_EMPTY(o->in)) {
            rv = fill(o, want);
        }
        if (rv == APR_SUCCESS) {
            *len = want;
            rv = take_bucket(o, buf, len);
        }
    }
    return rv == APR_SUCCESS ? rv : read_failed(o, rv);
}

/* How much of the body may be waited for before the application is called; 0:
 * none of it. */
static apr_size_t ahead(request_rec *r, apr_size_t limit)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t size = 0;

    if (!length || !ap_parse_strict_length(&size, length)) {
        return limit;
    }
    return size <= (apr_off_t)limit ? (apr_size_t)size : 0;
}

/* Of its own memory, so that it outlives the next read. */
static void keep_bucket(owner_t *o, apr_bucket *b, apr_size_t *left)
{
    APR_BUCKET_REMOVE(b);
    apr_bucket_setaside(b, o->r->pool);
    APR_BRIGADE_INSERT_TAIL(o->in, b);
    if (APR_BUCKET_IS_EOS(b)) {
        *left = 0;
    }
    else if (!APR_BUCKET_IS_METADATA(b) && b->length != (apr_size_t)-1) {
        *left -= b->length < *left ? b->length : *left;
    }
}

static apr_status_t exchange_read_ahead(pw_exchange_t *x, apr_size_t limit)
{
    owner_t *o = owner_of(x);
    apr_size_t left = ahead(o->r, limit);
    apr_bucket_brigade *bb, *kept;
    apr_status_t rv = APR_SUCCESS;

    if (left == 0) {
        return APR_SUCCESS;
    }
    kept = apr_brigade_create(o->r->pool, o->r->connection->bucket_alloc);
    bb = apr_brigade_create(o->r->pool, o->r->connection->bucket_alloc);
    while (rv == APR_SUCCESS && left > 0) {
        o->in = bb;
        rv = fill(o, left);
        o->in = kept;
        while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(bb)) {
            keep_bucket(o, APR_BRIGADE_FIRST(bb), &left);
        }
    }
    return rv == APR_SUCCESS ? rv : read_failed(o, rv);
}

/* Over HTTP/2 the connection has other requests; its streams say themselves
 * when they end. */
static int exchange_gone(pw_exchange_t *x)
{
    conn_rec *c = owner_of(x)->r->connection;
    struct pollfd pfd = {.events = POLLRDHUP};
    apr_socket_t *socket = ap_get_conn_socket(c);

    if (c->aborted) {
        return 1;
    }
    if (c->master || !socket || apr_os_sock_get(&pfd.fd, socket) != APR_SUCCESS
        || poll(&pfd, 1, 0) <= 0) {
        return 0;
    }
    c->aborted = (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
    return (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* ---- response ---------------------------------------------------------- */

/* What mod_mime says of the script by its name is no word on the response. */
static void forget_file(request_rec *r)
{
    ap_set_content_type(r, NULL);
    r->content_encoding = NULL;
    r->content_languages = NULL;
}

/* What httpd's error document has of the application's response. */
static void keep_for_error(request_rec *r, const pw_header_t *h)
{
    static const char *const kept[] = {"www-authenticate", "set-cookie",
                                       "allow", "retry-after"};

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (is_header(h->name, kept[i])) {
            apr_table_addn(r->err_headers_out, h->name, h->value);
        }
    }
}

static void override(owner_t *o, int status, const apr_array_header_t *headers)
{
    o->overridden = status;
    for (int i = 0; i < headers->nelts; i++) {
        keep_for_error(o->r, &APR_ARRAY_IDX(headers, i, pw_header_t));
    }
}

static int exchange_begin(pw_exchange_t *x, int status, const char *status_line,
                          const apr_array_header_t *headers,
                          apr_off_t content_length)
{
    owner_t *o = owner_of(x);
    request_rec *r = o->r;

    if (o->begun) {
        return -1;
    }
    o->begun = 1;
    if (already_answered(r)) {
        return 0; /* and pass will say that the client takes no more */
    }
    if (o->override && ap_is_HTTP_ERROR(status)) {
        override(o, status, headers);
        return 0;
    }
    r->status = status;
    /* httpd checks a line that is not its own a second time. */
    r->status_line =
        strcmp(status_line, ap_get_status_line(status)) ? status_line : NULL;
    forget_file(r);
    for (int i = 0; i < headers->nelts; i++) {
        const pw_header_t *h = &APR_ARRAY_IDX(headers, i, pw_header_t);

        if (!strcmp(h->name, "Content-Type")
            || is_header(h->name, "content-type")) {
            ap_set_content_type(r, h->value);
        }
        else {
            apr_table_addn(r->headers_out, h->name, h->value);
        }
    }
    if (content_length >= 0) {
        ap_set_content_length(r, content_length);
    }
    return 0;
}

static apr_status_t exchange_pass(pw_exchange_t *x, apr_bucket_brigade *bb)
{
    const owner_t *o = owner_of(x);
    request_rec *r = o->r;
    apr_status_t rv = APR_ECONNABORTED;

    if (o->overridden) {
        rv = APR_SUCCESS; /* nobody sees it */
    }
    else if (!already_answered(r)) {
        rv = ap_pass_brigade(r->output_filters, bb);
    }
    apr_brigade_cleanup(bb);
    if (rv == APR_SUCCESS && r->connection->aborted) {
        rv = APR_ECONNABORTED;
    }
    return rv;
}

/* httpd's own way to say "incomplete": no last chunk, connection closed; over
 * HTTP/2 the stream is reset. */
static void exchange_abort(pw_exchange_t *x)
{
    request_rec *r = owner_of(x)->r;
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb;

    if (already_answered(r) || owner_of(x)->overridden) {
        return;
    }
    bb = apr_brigade_create(r->pool, alloc);
    r->connection->keepalive = AP_CONN_CLOSE;
    APR_BRIGADE_INSERT_TAIL(
        bb, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    ap_pass_brigade(r->output_filters, bb);
    apr_brigade_cleanup(bb);
}

static const pw_exchange_ops_t exchange_ops = {
    .variables = exchange_variables,
    .read_body = exchange_read_body,
    .read_ahead = exchange_read_ahead,
    .gone = exchange_gone,
    .begin = exchange_begin,
    .pass = exchange_pass,
    .abort = exchange_abort,
};

static int is_https(const request_rec *r)
{
    const char *https = apr_table_get(r->subprocess_env, "HTTPS");

    return !strcmp(ap_http_scheme(r), "https")
           || (https && (!ap_cstr_casecmp(https, "on") || !strcmp(https, "1")));
}

/* Filters below the protocol (compression, a cache) make headers of the body,
 * so an application that leaves it out for HEAD would break them. */
static int maps_head(const request_rec *r, pw_head_e map_head)
{
    if (map_head == PW_HEAD_UNSET || map_head == PW_HEAD_AUTO) {
        return r->output_filters->frec->ftype < AP_FTYPE_PROTOCOL;
    }
    return map_head == PW_HEAD_TO_GET;
}

/* EnableSendfile, where the directive of ours says nothing, and EnableMMAP, as
 * the default handler reads them. */
static void apply_file_options(pw_exchange_t *x, const request_rec *r, int said)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    x->sendfile =
        said >= 0 ? said : core->enable_sendfile == ENABLE_SENDFILE_ON;
    x->map_files = core->enable_mmap != ENABLE_MMAP_OFF;
}

/* What the sections of the request say. */
static void apply_options(pw_exchange_t *x, owner_t *o)
{
    const request_rec *r = o->r;
    const pw_dir_conf_t *dir = pw_config_dir(r);
    const pw_mount_t *mount = o->m->mount;

    o->override = dir->error_override > 0;
    o->pass_auth = mount && mount->pass_authorization >= 0
                       ? mount->pass_authorization
                       : dir->pass_authorization;
    if (r->header_only && maps_head(r, dir->map_head)) {
        o->method = "GET";
        x->head = 0; /* httpd sends no body */
    }
    if (dir->log_query > 0 && r->args) {
        x->uri = apr_pstrcat(r->pool, r->uri, "?", r->args, NULL);
    }
    apply_file_options(x, r, dir->enable_sendfile);
}

int pw_exchange_httpd_overridden(const pw_exchange_t *x)
{
    return owner_of(x)->overridden;
}

pw_exchange_t *pw_exchange_httpd_create(request_rec *r, const pw_mounted_t *m)
{
    const pw_resolved_t *resolved = pw_config_server(r->server)->resolved;
    pw_exchange_t *x = apr_pcalloc(r->pool, sizeof(*x));
    owner_t *o = apr_pcalloc(r->pool, sizeof(*o));

    o->r = r;
    o->m = m;
    o->method = r->method;
    o->remote_host = ap_get_useragent_host(r, REMOTE_HOST, NULL);
    x->ops = &exchange_ops;
    x->owner = o;
    x->pool = r->pool;
    x->buckets = r->connection->bucket_alloc;
    x->log.write = log_to_request;
    x->log.where = r;
    x->method = r->method;
    x->uri = r->uri;
    x->scheme = is_https(r) ? "https" : "http";
    x->head = r->header_only;
    x->has_body = !r->main; /* a subrequest reads none; else httpd knows */
    x->may_buffer = !r->main && !r->expecting_100 && ap_request_has_body(r);
    x->input_terminated = 1;
    x->multithread = resolved->multithread;
    x->multiprocess =
        resolved->multiprocess || m->app->interp->instances_max > 1;
    apply_options(x, o);
    return x;
}

void pw_exchange_httpd_register_hooks(void)
{
    ap_register_output_filter(GUARD, guard_filter, NULL, AP_FTYPE_RESOURCE);
}
