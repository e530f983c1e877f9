/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_htaccess: a hook that opens .htaccess as httpd does, and hands its lines
 * on unchanged. Worker threads.
 */
#include "pw_htaccess.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_config.h>

/* In r->notes: those of a subrequest are carried over where mod_dir turns it
 * into the request. */
#define NOTE "polywsgi.htaccess-handler"

typedef struct reader_t {
    request_rec *r;
    ap_configfile_t *file; /* httpd's own */
    int inside;            /* the last piece ended inside a line */
} reader_t;

/* ---- lines ------------------------------------------------------------- */

/* Directives that set no handler, whatever their arguments; those that end in
 * a dash by their beginning. */
static const char *const harmless[] = {"AddCharset",
                                       "AddDefaultCharset",
                                       "AddDescription",
                                       "AddEncoding",
                                       "AddIcon-",
                                       "AddLanguage",
                                       "Allow",
                                       "AllowOverride-",
                                       "Auth-",
                                       "Browser-",
                                       "CGI-",
                                       "Charset-",
                                       "ContentDigest",
                                       "Cookie-",
                                       "DefaultIcon",
                                       "DefaultLanguage",
                                       "Deny",
                                       "DirectoryIndex",
                                       "DirectorySlash",
                                       "EnableMMAP",
                                       "EnableSendfile",
                                       "Expires-",
                                       "FileETag",
                                       "Header-",
                                       "IndexIgnore-",
                                       "IndexOptions",
                                       "IndexOrderDefault",
                                       "IndexStyleSheet",
                                       "LanguagePriority",
                                       "LimitRequestBody",
                                       "LogIOTrackTTFB",
                                       "Options",
                                       "Order",
                                       "PassEnv",
                                       "ReadmeName",
                                       "Redirect-",
                                       "RequestHeader",
                                       "Require",
                                       "RewriteBase",
                                       "RewriteCond",
                                       "RewriteEngine",
                                       "RewriteOptions",
                                       "SSLOptions",
                                       "SSLRequire-",
                                       "Satisfy",
                                       "ServerSignature",
                                       "SetEnv-",
                                       "UnsetEnv",
                                       "WSGI-",
                                       "<Files-",
                                       "</Files-",
                                       "<IfModule",
                                       "</IfModule>",
                                       "<Limit-",
                                       "</Limit-",
                                       "<Require-",
                                       "</Require-",
                                       NULL};

static int is_listed(const char *word, size_t len)
{
    for (int i = 0; harmless[i]; i++) {
        size_t known = strlen(harmless[i]);

        if (harmless[i][known - 1] == '-') {
            known--;
            if (len >= known && !strncasecmp(word, harmless[i], known)) {
                return 1;
            }
        }
        else if (len == known && !strncasecmp(word, harmless[i], len)) {
            return 1;
        }
    }
    return 0;
}

/* A rule without the flags H= and T=, by their letters wherever they stand. */
static int rewrites_only(const char *line)
{
    static const char *const flags[] = {"h=", "t=", "handler=", "type="};

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (ap_strcasestr(line, flags[i])) {
            return 0;
        }
    }
    return 1;
}

/* An ErrorDocument names a page, not a handler; the page has its own. */
int pw_htaccess_harmless(const char *line)
{
    const char *word = line + strspn(line, " \t\r\n");
    size_t len = strcspn(word, " \t\r\n");

    if (len == 0 || *word == '#' || is_listed(word, len)) {
        return 1;
    }
    if (len == strlen("ErrorDocument")
        && !strncasecmp(word, "ErrorDocument", len)) {
        return 1;
    }
    return len == strlen("RewriteRule")
           && !strncasecmp(word, "RewriteRule", len) && rewrites_only(word);
}

/* ---- reading ----------------------------------------------------------- */

static void look_at(reader_t *reader, const char *piece)
{
    size_t len = strlen(piece);

    if (reader->inside || !pw_htaccess_harmless(piece)) {
        apr_table_setn(reader->r->notes, NOTE, "1");
    }
    reader->inside = len > 0 && piece[len - 1] != '\n';
}

static apr_status_t read_line(void *buf, apr_size_t size, void *baton)
{
    reader_t *reader = baton;
    apr_status_t rv = reader->file->getstr(buf, size, reader->file->param);

    if (rv == APR_SUCCESS) {
        look_at(reader, buf);
    }
    return rv;
}

/* Nothing of httpd's reads .htaccess by characters; if it did, we could not
 * know. */
static apr_status_t read_char(char *c, void *baton)
{
    reader_t *reader = baton;

    apr_table_setn(reader->r->notes, NOTE, "1");
    return reader->file->getch(c, reader->file->param);
}

static apr_status_t close_file(void *baton)
{
    reader_t *reader = baton;

    return ap_cfg_closefile(reader->file);
}

static apr_status_t open_htaccess(request_rec *r, const char *dir,
                                  const char *name, ap_configfile_t **file,
                                  const char **path)
{
    reader_t *reader = apr_pcalloc(r->pool, sizeof(*reader));
    apr_status_t rv;

    *path = ap_make_full_path(r->pool, dir, name);
    rv = ap_pcfg_openfile(&reader->file, r->pool, *path);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    reader->r = r;
    *file = ap_pcfg_open_custom(r->pool, *path, reader, read_char, read_line,
                                close_file);
    return *file ? APR_SUCCESS : APR_ENOMEM;
}

/* A subrequest takes over what the request around it has read. */
int pw_htaccess_may_set_handler(const request_rec *r)
{
    for (; r; r = r->main ? r->main : r->prev) {
        if (apr_table_get(r->notes, NOTE)) {
            return 1;
        }
    }
    return 0;
}

void pw_htaccess_register_hooks(void)
{
    ap_hook_open_htaccess(open_htaccess, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
