/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_alias: the directives that say which script or module there is, and at
 * which URLs: WSGIScriptAlias, WSGIScriptAliasMatch, WSGIApplication and
 * WSGIImportScript. Each returns NULL or the text of an error, for httpd's
 * table of commands (raw arguments). One thread, while the configuration is
 * read.
 */
#ifndef PW_ALIAS_H
#define PW_ALIAS_H

#include "pw_config.h"

const char *pw_alias_script(cmd_parms *cmd, void *mconfig, const char *args);
const char *pw_alias_match(cmd_parms *cmd, void *mconfig, const char *args);
const char *pw_alias_application(cmd_parms *cmd, void *mconfig,
                                 const char *args);
const char *pw_alias_import(cmd_parms *cmd, void *mconfig, const char *args);

#endif
