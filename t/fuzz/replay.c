/* SPDX-License-Identifier: Apache-2.0
 *
 * replay: runs a fuzz target over its corpus, t/fuzz/corpus/NAME, one test for
 * each file. A target that finds a fault aborts.
 */
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <libgen.h>
#include <string.h>

#include "fuzz.h"
#include "tap.h"

#ifndef PW_TEST_SRCDIR
#define PW_TEST_SRCDIR "." /* lint reads this file without the Makefile */
#endif

static int replay(const char *path, apr_pool_t *ptemp)
{
    apr_file_t *file;
    apr_finfo_t info;
    unsigned char *data;
    apr_size_t len = 0;

    if (apr_file_open(&file, path, APR_FOPEN_READ, 0, ptemp) != APR_SUCCESS
        || apr_file_info_get(&info, APR_FINFO_SIZE, file) != APR_SUCCESS) {
        return 0;
    }
    data = apr_palloc(ptemp, (apr_size_t)info.size + 1);
    apr_file_read_full(file, data, (apr_size_t)info.size, &len);
    apr_file_close(file);
    return LLVMFuzzerTestOneInput(data, len) == 0;
}

int main(int argc, char **argv)
{
    apr_pool_t *pool;
    apr_dir_t *dir;
    apr_finfo_t entry;
    const char *corpus;

    (void)argc;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    corpus = apr_pstrcat(pool, PW_TEST_SRCDIR "/t/fuzz/corpus/",
                         basename(apr_pstrdup(pool, argv[0])), NULL);
    if (apr_dir_open(&dir, corpus, pool) != APR_SUCCESS) {
        return 1;
    }
    while (apr_dir_read(&entry, APR_FINFO_NAME | APR_FINFO_TYPE, dir)
           == APR_SUCCESS) {
        if (entry.filetype == APR_REG) {
            ok(replay(apr_pstrcat(pool, corpus, "/", entry.name, NULL), pool),
               "%s", entry.name);
        }
    }
    return tap_done();
}
