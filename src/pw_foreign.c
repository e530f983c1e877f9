/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_foreign: the kinds of answers; the table is in the header.
 */
#include "pw_foreign.h"

#include <apr_strings.h>
#include <http_core.h>

#include "pw_module.h"

const char *pw_foreign_refuse(cmd_parms *cmd, void *mconfig, const char *args)
{
    (void)mconfig;
    (void)args;
    return apr_psprintf(cmd->pool, "%s is a directive of mod_wsgi: %s",
                        cmd->cmd->name, (const char *)cmd->info);
}

const char *pw_foreign_refuse_on(cmd_parms *cmd, void *mconfig, int on)
{
    return on ? pw_foreign_refuse(cmd, mconfig, NULL) : NULL;
}

const char *pw_foreign_refuse_off(cmd_parms *cmd, void *mconfig, int on)
{
    return on ? NULL : pw_foreign_refuse(cmd, mconfig, NULL);
}

const char *pw_foreign_group(cmd_parms *cmd, void *mconfig, const char *name)
{
    if (!*name || !strcmp(name, "%{GLOBAL}")) {
        return NULL;
    }
    return pw_foreign_refuse(cmd, mconfig, NULL);
}

const char *pw_foreign_note(cmd_parms *cmd, void *mconfig, const char *args)
{
    (void)mconfig;
    (void)args;
    if (!ap_check_cmd_context(cmd, NOT_IN_HTACCESS)) {
        pw_note_t *note = apr_array_push(pw_config_server(cmd->server)->notes);

        note->directive = cmd->cmd->name;
        note->why = cmd->info;
        note->place = pw_config_place(cmd);
    }
    return NULL;
}

void pw_foreign_say(server_rec *main_server)
{
    const apr_array_header_t *said = NULL;

    for (server_rec *s = main_server; s; s = s->next) {
        const apr_array_header_t *notes = pw_config_server(s)->notes;

        for (int i = 0; notes != said && i < notes->nelts; i++) {
            const pw_note_t *note = &APR_ARRAY_IDX(notes, i, pw_note_t);

            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                         "PW0020 %s (%s line %d) has no effect: %s. Mend: "
                         "remove the line",
                         note->directive, note->place.file, note->place.line,
                         note->why);
        }
        said = pw_config_server(main_server)->notes;
    }
}
