/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_exc: Python exceptions become log records here, and only here.
 */
#ifndef PW_EXC_H
#define PW_EXC_H

#include "pw_interp.h"
#include "pw_log.h"

/*
 * Logs the pending exception and clears it: first one record "CODE label:
 * TEXT: ExceptionType: message", then its traceback, a record a line (never
 * more than 200 lines). fmt gives TEXT: what failed and what happens next. An
 * exception while formatting is swallowed. Attached; an exception is pending.
 */
void pw_exc_log(pw_attached_t *at, const pw_log_t *log, pw_log_level_e level,
                const char *code, const char *label, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

#endif
