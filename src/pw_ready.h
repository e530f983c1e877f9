/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_ready: what has become of each application of this child: for whoever
 * waits until it serves.
 */
#ifndef PW_READY_H
#define PW_READY_H

#include "pw_runtime.h"
#include "pw_text.h"

/*
 * Writes a list of JSON: the interpreter, label and state of each application
 * that the configuration names: loaded, failed, loading (it is, or will be
 * without being asked), or idle (it waits for its first request). Any thread,
 * not attached.
 */
void pw_ready_show(pw_runtime_t *rt, pw_text_t *to);

#endif
