/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_vars: fills environ. The GIL of the interpreter guards all of it; nothing
 * in here runs code of the application, for all keys and values are str.
 */
#include "pw_vars.h"

#include <string.h>
#include <strings.h>

enum { STEADY, AGAIN, FRESH };

/* The bits of the STEADY ones in pw_filling_t.seen. */
#define STEADY_BIT(name, kind)                                                 \
    | (apr_uint64_t)((kind) == STEADY) << PW_VAR_##name
static const apr_uint64_t steady_bits = 0 PW_VARS(STEADY_BIT);

static const char *const names[] = {
#define NAME(name, kind) #name,
    PW_VARS(NAME)
#undef NAME
};

static const unsigned char kinds[] = {
#define KIND(name, kind) kind,
    PW_VARS(KIND)
#undef KIND
};

/* Bytes become characters one by one (PEP 3333, "native strings"). New. */
static PyObject *text(const char *value, size_t len)
{
    return PyUnicode_DecodeLatin1(value, (Py_ssize_t)len, NULL);
}

/* Its bytes where it is ASCII, so that a later value can be compared; else
 * NULL. As long as the object. */
static const char *ascii(PyObject *object)
{
    return PyUnicode_IS_ASCII(object)
               ? (const char *)PyUnicode_1BYTE_DATA(object)
               : NULL;
}

static int is_same(const char *known, const char *value)
{
    return known && strcmp(known, value) == 0;
}

/* ---- life -------------------------------------------------------------- */

int pw_vars_init(pw_vars_t *vars)
{
    for (int i = 0; i < PW_VAR_COUNT; i++) {
        vars->keys[i] = PyUnicode_InternFromString(names[i]);
        if (!vars->keys[i]) {
            return -1;
        }
    }
    vars->steady = PyDict_New();
    return vars->steady ? 0 : -1;
}

void pw_vars_clear(pw_vars_t *vars)
{
    for (int i = 0; i < PW_VAR_COUNT; i++) {
        Py_CLEAR(vars->keys[i]);
        Py_CLEAR(vars->values[i]);
    }
    for (int i = 0; i < PW_HEADER_KEYS; i++) {
        Py_CLEAR(vars->headers[i].key);
        Py_CLEAR(vars->headers[i].value);
        vars->headers[i].name[0] = '\0';
        vars->headers[i].slot = 0;
    }
    vars->slots = 0;
    memset(vars->constants, 0, sizeof(vars->constants));
    memset(vars->bytes, 0, sizeof(vars->bytes));
    Py_CLEAR(vars->steady);
}

/*
 * Gives the dictionary, and so each copy, room for the headers of a request: a
 * copy that has to grow costs more than all of its entries. Keys that were
 * added and popped again leave the room behind.
 */
static int widen(PyObject *steady)
{
    int added = 0, rc = 0;

    while (rc == 0 && PyDict_GET_SIZE(steady) <= PW_STEADY_FULL) {
        PyObject *key = PyUnicode_FromFormat(" %d", added++); /* new */

        rc = key ? PyDict_SetItem(steady, key, Py_None) : -1;
        Py_XDECREF(key);
    }
    while (rc == 0 && added-- > 0) {
        PyObject *pair = PyObject_CallMethod(steady, "popitem", NULL); /* new */

        rc = pair ? 0 : -1;
        Py_XDECREF(pair);
    }
    return rc;
}

/* Everything else is str. */
int pw_vars_traverse(pw_vars_t *vars, visitproc visit, void *arg)
{
    Py_VISIT(vars->steady);
    return 0;
}

/* ---- the server's variables -------------------------------------------- */

/* A new value of a steady variable is that of the next request too. */
static void set_steady(pw_filling_t *f, PyObject *key, PyObject *value)
{
    f->vars->changes++;
    f->failed |= PyDict_SetItem(f->vars->steady, key, value) < 0;
}

/* No longer, nor in this request where it has not said so itself. */
static void drop_steady(pw_filling_t *f, PyObject *key, int said)
{
    f->vars->changes++;
    f->failed |= PyDict_DelItem(f->vars->steady, key) < 0
                 || (!said && PyDict_DelItem(f->env, key) < 0);
}

static void set_new(pw_filling_t *f, pw_var_e which, const char *value)
{
    PyObject *object = text(value, strlen(value)); /* new */

    if (!object || PyDict_SetItem(f->env, f->vars->keys[which], object) < 0) {
        f->failed = 1;
        Py_XDECREF(object);
        return;
    }
    if (kinds[which] == FRESH) {
        Py_DECREF(object);
        return;
    }
    f->vars->bytes[which] = ascii(object);
    Py_XSETREF(f->vars->values[which], object);
    if (kinds[which] == STEADY) {
        set_steady(f, f->vars->keys[which], object);
    }
}

static void emit_variable(pw_emit_t *to, pw_var_e which, const char *value)
{
    pw_filling_t *f = (pw_filling_t *)to;

    if (f->failed || !value) {
        return;
    }
    f->seen |= (apr_uint64_t)1 << which;
    if (!is_same(f->vars->bytes[which], value)) {
        set_new(f, which, value);
    }
    else if (kinds[which] != STEADY) {
        f->failed =
            PyDict_SetItem(f->env, f->vars->keys[which], f->vars->values[which])
            < 0;
    }
}

/* ---- headers ----------------------------------------------------------- */

/* "HTTP_ACCEPT" for "Accept", in `variable`; 0 for a name with another
 * character than letter, digit and dash: "X_Y" and "X-Y" would be one variable.
 */
static int header_variable(const char *name, size_t len, char *variable)
{
    memcpy(variable, "HTTP_", 5);
    for (size_t i = 0; i < len; i++) {
        char c = name[i];

        if (c >= 'a' && c <= 'z') {
            c = (char)(c - 'a' + 'A');
        }
        else if (c == '-') {
            c = '_';
        }
        else if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9')) {
            return 0;
        }
        variable[5 + i] = c;
    }
    return 1;
}

/* New, NULL with an exception, or Py_None (borrowed like all that is immortal)
 * for a name that has no variable. */
static PyObject *make_key(const char *name, size_t len)
{
    char small[64];
    char *variable = small;
    PyObject *key = Py_None;

    if (len + 5 > sizeof(small)) {
        variable = PyMem_Malloc(len + 5);
        if (!variable) {
            return PyErr_NoMemory();
        }
    }
    if (header_variable(name, len, variable)) {
        key = text(variable, len + 5);
    }
    if (variable != small) {
        PyMem_Free(variable);
    }
    return key == Py_None ? Py_NewRef(key) : key;
}

/* By the length of the name as it came, its first and its last four bytes: they
 * tell those apart that browsers send. */
static pw_header_key_t *place_of(pw_vars_t *vars, const char *name, size_t len)
{
    apr_uint32_t first = (unsigned char)*name, last = first, hash;

    if (len >= sizeof(first)) {
        memcpy(&first, name, sizeof(first));
        memcpy(&last, name + len - sizeof(last), sizeof(last));
    }
    hash = (first * 2654435761u) ^ (last * 2246822519u)
           ^ ((apr_uint32_t)len * 3266489917u);
    return &vars->headers[(hash ^ hash >> 15) % PW_HEADER_KEYS];
}

/* Headers that a browser sends with every request, and that hold no secret. */
static int comes_again(const char *name)
{
    static const char *const beginnings[] = {
        "accept",   "cache-control", "connection", "dnt",       "host",
        "priority", "sec-",          "upgrade-",   "user-agent"};

    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        if (!strncasecmp(name, beginnings[i], strlen(beginnings[i]))) {
            return 1;
        }
    }
    return 0;
}

static apr_uint64_t slot_bit(const pw_header_key_t *place)
{
    return (apr_uint64_t)1 << (place->slot - 1);
}

/* Is steady from now on, where there is a slot. Names that differ in case only
 * have places of their own and one key, which one of them may hold. */
static void keep_repeated(pw_filling_t *f, pw_header_key_t *place)
{
    pw_vars_t *vars = f->vars;
    int there = PyDict_Contains(vars->steady, place->key), i = 0;

    place->times = 0;
    while (i < PW_REPEATED_MAX && vars->slots >> i & 1) {
        i++;
    }
    f->failed |= there < 0;
    if (!there && i < PW_REPEATED_MAX) {
        vars->repeated[i] = place;
        place->slot = i + 1;
        vars->slots |= slot_bit(place);
        f->repeats |= slot_bit(place);
        set_steady(f, place->key, place->value);
    }
}

static void drop_repeated(pw_filling_t *f, pw_header_key_t *place)
{
    apr_uint64_t bit = slot_bit(place);

    drop_steady(f, place->key, (f->repeats & bit) != 0);
    f->vars->slots &= ~bit;
    f->repeats &= ~bit;
    place->slot = 0;
}

/* Steady headers that this request does not have; of that key, or all. */
static void drop_absent(pw_filling_t *f, PyObject *key)
{
    apr_uint64_t absent = f->vars->slots & ~f->repeats;

    for (int i = 0; absent && !f->failed; i++, absent >>= 1) {
        pw_header_key_t *place = f->vars->repeated[i];

        if (absent & 1 && (!key || PyUnicode_Compare(place->key, key) == 0)) {
            drop_repeated(f, place);
        }
    }
}

/* The place of a header, filled; NULL where it has none, or with f->failed. */
static pw_header_key_t *header_place(pw_filling_t *f, const char *name,
                                     size_t len)
{
    pw_header_key_t *place;
    PyObject *key;

    if (len == 0 || len >= PW_HEADER_NAME_MAX) {
        return NULL;
    }
    place = place_of(f->vars, name, len);
    if (place->key && memcmp(place->name, name, len + 1) == 0) {
        return place;
    }
    key = make_key(name, len); /* new */
    f->failed = !key;
    if (!key || key == Py_None) {
        Py_XDECREF(key);
        return NULL;
    }
    if (place->slot) {
        drop_repeated(f, place);
    }
    memcpy(place->name, name, len + 1);
    place->again = comes_again(name);
    place->times = 0;
    Py_CLEAR(place->value);
    Py_XSETREF(place->key, key);
    return place;
}

/* Two headers of one name (RequestHeader add): as httpd joins them. */
static int join(PyObject *env, PyObject *key, PyObject *first, PyObject *second)
{
    PyObject *both = PyUnicode_FromFormat("%U, %U", first, second); /* new */
    int rc = both ? PyDict_SetItem(env, key, both) : -1;

    Py_XDECREF(both);
    return rc;
}

/* Did the place have this value the last time? */
static int has_value(const pw_header_key_t *place, const char *value)
{
    return place->value
           && strcmp((const char *)PyUnicode_1BYTE_DATA(place->value), value)
                  == 0;
}

/* The value as str, kept where it may come again. New. */
static PyObject *header_value(pw_header_key_t *place, const char *value)
{
    size_t len = strlen(value);
    PyObject *object = text(value, len);

    if (object && place && place->again && len < PW_HEADER_VALUE_MAX
        && PyUnicode_IS_ASCII(object)) {
        Py_XSETREF(place->value, Py_NewRef(object));
        place->times = 0;
    }
    return object;
}

/* Of a key that is there: another header of this request, or one of those
 * before. */
static void set_again(pw_filling_t *f, PyObject *key, PyObject *value)
{
    PyObject *there; /* borrowed from env */

    drop_absent(f, key);
    there = f->failed ? NULL : PyDict_GetItemWithError(f->env, key);
    if (there) {
        f->failed = join(f->env, key, there, value) < 0;
    }
    else if (!PyErr_Occurred()) {
        f->failed = PyDict_SetItem(f->env, key, value) < 0;
    }
    else {
        f->failed = 1;
    }
}

static void set_header(pw_filling_t *f, PyObject *key, PyObject *value)
{
    Py_ssize_t before = PyDict_GET_SIZE(f->env);

    f->failed = !PyDict_SetDefault(f->env, key, value);
    if (!f->failed && PyDict_GET_SIZE(f->env) == before) {
        set_again(f, key, value);
    }
}

/* The value that it had in the last request which had one. */
static void repeat_header(pw_filling_t *f, pw_header_key_t *place)
{
    if (place->slot && !(f->repeats & slot_bit(place))) {
        f->repeats |= slot_bit(place);
        return;
    }
    set_header(f, place->key, place->value);
    if (!place->slot && !f->failed && ++place->times >= PW_REPEATS) {
        keep_repeated(f, place);
    }
}

static void emit_header(pw_emit_t *to, const char *name, const char *value)
{
    pw_filling_t *f = (pw_filling_t *)to;
    size_t len = strlen(name);
    pw_header_key_t *place = f->failed ? NULL : header_place(f, name, len);
    PyObject *key, *object;

    if (f->failed) {
        return;
    }
    if (place && has_value(place, value)) {
        repeat_header(f, place);
        return;
    }
    if (place && place->slot) {
        drop_repeated(f, place);
    }
    key = place ? Py_NewRef(place->key) : make_key(name, len);
    if (key != Py_None) {
        object = key ? header_value(place, value) : NULL; /* new */
        if (object) {
            set_header(f, key, object);
        }
        else {
            f->failed = 1;
        }
        Py_XDECREF(object);
    }
    Py_XDECREF(key);
}

/* ---- one request ------------------------------------------------------- */

void pw_vars_constant(pw_filling_t *f, int place, PyObject *key,
                      PyObject *value)
{
    if (f->failed || f->vars->constants[place] == value) {
        return;
    }
    f->vars->constants[place] = value;
    set_steady(f, key, value);
    f->failed |= PyDict_SetItem(f->env, key, value) < 0;
}

/* Not of this request: nor, we guess, of the next. */
static void forget(pw_filling_t *f, int which)
{
    PyObject *key = f->vars->keys[which];

    if (f->vars->values[which]) {
        f->vars->bytes[which] = NULL;
        Py_CLEAR(f->vars->values[which]);
        drop_steady(f, key, 0);
    }
}

/* Before anything that may have the name of what this request has not. */
static void settle(pw_filling_t *f)
{
    apr_uint64_t absent = steady_bits & ~f->seen;

    f->settled = 1;
    for (int i = 0; absent && !f->failed; i++, absent >>= 1) {
        if (absent & 1) {
            forget(f, i);
        }
    }
    drop_absent(f, NULL);
}

static void emit_other(pw_emit_t *to, const char *name, const char *value)
{
    pw_filling_t *f = (pw_filling_t *)to;
    PyObject *key, *object;

    if (!f->settled) {
        settle(f);
    }
    if (f->failed) {
        return;
    }
    key = text(name, strlen(name));      /* new */
    object = text(value, strlen(value)); /* new */
    f->failed = !key || !object || !PyDict_SetDefault(f->env, key, object);
    Py_XDECREF(object);
    Py_XDECREF(key);
}

int pw_vars_begin(pw_filling_t *f, pw_vars_t *vars)
{
    unsigned changes;

    f->emit.variable = emit_variable;
    f->emit.header = emit_header;
    f->emit.other = emit_other;
    f->vars = vars;
    f->seen = f->repeats = 0;
    f->settled = 0;
    f->env = NULL;
    /* On 3.11 a garbage collection in here may let another thread in. */
    do {
        changes = vars->changes;
        Py_XSETREF(f->env, PyDict_Copy(vars->steady));
    } while (f->env && changes != vars->changes);
    f->failed = !f->env;
    return f->failed ? -1 : 0;
}

PyObject *pw_vars_end(pw_filling_t *f)
{
    if (!f->settled && !f->failed) {
        settle(f);
    }
    if (!f->failed && !f->vars->wide) {
        f->vars->wide = 1;
        f->failed = widen(f->vars->steady) < 0;
        f->vars->changes++;
    }
    if (f->failed) {
        Py_CLEAR(f->env);
    }
    return f->env;
}
