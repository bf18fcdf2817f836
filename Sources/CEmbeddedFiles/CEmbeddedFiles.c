#include "CEmbeddedFiles.h"

// A file that is added needs its bytes and its function here and a line in the header. The compiler notes the files as what
// this one depends on, so that a change of them is built.

// `#embed` is of C23; clang knows it in every mode.
#pragma clang diagnostic ignored "-Wc23-extensions"

#define EMBEDDED(name) \
    struct cs_embedded_file cs_##name(void) { \
        return (struct cs_embedded_file){name, sizeof name}; \
    }

static const uint8_t administration_html[] = {
#embed "AdministrationPage/page.html"
};
EMBEDDED(administration_html)

static const uint8_t administration_css[] = {
#embed "AdministrationPage/page.css"
};
EMBEDDED(administration_css)

static const uint8_t administration_js[] = {
#embed "AdministrationPage/page.js"
};
EMBEDDED(administration_js)

static const uint8_t sign_in_html[] = {
#embed "SignIn/sign-in.html"
};
EMBEDDED(sign_in_html)

static const uint8_t sign_in_scope_html[] = {
#embed "SignIn/scope.html"
};
EMBEDDED(sign_in_scope_html)

static const uint8_t sign_in_refusal_html[] = {
#embed "SignIn/refusal.html"
};
EMBEDDED(sign_in_refusal_html)

static const uint8_t sign_in_css[] = {
#embed "SignIn/page.css"
};
EMBEDDED(sign_in_css)

static const uint8_t openapi_json[] = {
#embed "OpenAPI/openapi.json"
};
EMBEDDED(openapi_json)
