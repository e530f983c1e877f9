/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_status: the handler wsgi-status: what pw_census knows of the whole server,
 * in the format of ?format= or of Accept. For whoever Require lets in; never
 * by .htaccess. Worker threads; no Python runs.
 */
#ifndef PW_STATUS_H
#define PW_STATUS_H

void pw_status_register_hooks(void);

#endif
