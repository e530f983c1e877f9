/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_pymod: the module `polywsgi`, by multi-phase initialisation, so that each
 * interpreter has its own. Attached throughout.
 */
#include "pw_pymod.h"

#include "config.h"
#include "pw_errors.h"
#include "pw_filewrap.h"
#include "pw_input.h"
#include "pw_interp.h"
#include "pw_response.h"

pw_pymod_t *pw_pymod_state(PyObject *module)
{
    return PyModule_GetState(module);
}

pw_pymod_t *pw_pymod_state_of(PyTypeObject *type)
{
    return PyType_GetModuleState(type);
}

static int make_names(pw_pymod_t *mod)
{
    int missing = 0;

#define MAKE(field, text)                                                      \
    mod->field = PyUnicode_InternFromString(text);                             \
    missing |= !mod->field;
    PW_NAMES(MAKE)
#undef MAKE
    return missing ? -1 : 0;
}

static int make_types(PyObject *module, pw_pymod_t *mod)
{
    const struct {
        PyObject **type;
        PyType_Spec *spec;
    } types[] = {
        {&mod->input_type, &pw_input_spec},
        {&mod->response_type, &pw_response_spec},
        {&mod->stream_type, &pw_errors_spec},
        {&mod->wrapper_type, &pw_filewrap_spec},
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        *types[i].type = PyType_FromModuleAndSpec(module, types[i].spec, NULL);
        if (!*types[i].type) {
            return -1;
        }
    }
    return PyModule_AddObjectRef(module, "_Stream", mod->stream_type);
}

/* The only types whose descriptor gives the same bytes as their read(). */
static int find_file_types(pw_pymod_t *mod)
{
    PyObject *io = PyImport_ImportModule("_io"); /* new */

    if (!io) {
        return -1;
    }
    mod->file_type = PyObject_GetAttrString(io, "FileIO");
    mod->reader_type = PyObject_GetAttrString(io, "BufferedReader");
    mod->random_type = PyObject_GetAttrString(io, "BufferedRandom");
    Py_DECREF(io);
    return mod->file_type && mod->reader_type && mod->random_type ? 0 : -1;
}

static int add_number(PyObject *module, const pw_instance_t *instance)
{
    PyObject *number; /* new */
    int rc;

    number = instance ? PyLong_FromLong(pw_interp_number(instance))
                      : Py_NewRef(Py_None);
    rc = number ? PyModule_AddObjectRef(module, "instance", number) : -1;
    Py_XDECREF(number);
    return rc;
}

/* None for all where the interpreter is not one of ours. */
static int make_identity(PyObject *module, pw_pymod_t *mod)
{
    pw_instance_t *instance = pw_interp_current();

    if (instance) {
        const pw_interp_spec_t *spec = pw_interp_spec(instance);

        mod->interpreter = PyUnicode_DecodeUTF8(
            spec->name, (Py_ssize_t)strlen(spec->name), "replace");
        mod->isolation =
            PyUnicode_FromString(pw_isolation_name(spec->isolation));
    }
    else {
        mod->interpreter = Py_NewRef(Py_None);
        mod->isolation = Py_NewRef(Py_None);
    }
    if (!mod->interpreter || !mod->isolation
        || PyModule_AddObjectRef(module, "interpreter", mod->interpreter) < 0
        || PyModule_AddObjectRef(module, "isolation", mod->isolation) < 0
        || add_number(module, instance) < 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "__version__", PW_VERSION);
}

static int exec_module(PyObject *module)
{
    pw_pymod_t *mod = pw_pymod_state(module);

    mod->version = Py_BuildValue("(ii)", 1, 0);
    if (!mod->version || make_names(mod) < 0 || make_types(module, mod) < 0
        || pw_vars_init(&mod->vars) < 0 || find_file_types(mod) < 0) {
        return -1;
    }
    return make_identity(module, mod);
}

static int traverse_module(PyObject *module, visitproc visit, void *arg)
{
    pw_pymod_t *mod = pw_pymod_state(module);

#define VISIT_NAME(field, text) Py_VISIT(mod->field);
#define VISIT(field) Py_VISIT(mod->field);
    PW_NAMES(VISIT_NAME)
    PW_OBJECTS(VISIT)
#undef VISIT_NAME
#undef VISIT
    return pw_vars_traverse(&mod->vars, visit, arg);
}

static int clear_module(PyObject *module)
{
    pw_pymod_t *mod = pw_pymod_state(module);

#define CLEAR_NAME(field, text) Py_CLEAR(mod->field);
#define CLEAR(field) Py_CLEAR(mod->field);
    PW_NAMES(CLEAR_NAME)
    PW_OBJECTS(CLEAR)
#undef CLEAR_NAME
#undef CLEAR
    pw_vars_clear(&mod->vars);
    return 0;
}

void pw_pymod_end(void *module)
{
    pw_pymod_t *mod = pw_pymod_state(module);

    Py_CLEAR(mod->spare_input);
    Py_CLEAR(mod->spare_response);
    Py_CLEAR(mod->spare_errors);
}

static void free_module(void *module)
{
    clear_module(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)exec_module},
    PW_MOD_SLOT_SUBINTERPRETERS{0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "polywsgi",
    .m_doc = "What mod_polywsgi tells the application that runs in it.",
    .m_size = sizeof(pw_pymod_t),
    .m_slots = slots,
    .m_traverse = traverse_module,
    .m_clear = clear_module,
    .m_free = free_module,
};

void *pw_pymod_init(void)
{
    return PyModuleDef_Init(&definition);
}
