#ifndef COUNTERSIGN_CEMBEDDEDFILES_H
#define COUNTERSIGN_CEMBEDDEDFILES_H

// Files that the control plane serves: pages for people and the OpenAPI document. They lie here as what they are, so that
// editors and linters know them, and become part of the program when it is built: one executable is all there is to install.
//
// In C because of `#embed`. SwiftPM can embed files as well, as literals of Swift arrays; of the OpenAPI document that is
// one of more than 100,000 elements, on which the compiler works for a quarter of a minute each time.

#include <stddef.h>
#include <stdint.h>

/// The bytes of a file as it lay in the source tree. They are there for as long as the process.
struct cs_embedded_file {
    const uint8_t *_Nonnull start;
    size_t count;
};

struct cs_embedded_file cs_administration_html(void);
struct cs_embedded_file cs_administration_css(void);
struct cs_embedded_file cs_administration_js(void);

struct cs_embedded_file cs_sign_in_html(void);
struct cs_embedded_file cs_sign_in_scope_html(void);
struct cs_embedded_file cs_sign_in_refusal_html(void);
struct cs_embedded_file cs_sign_in_css(void);

struct cs_embedded_file cs_openapi_json(void);

#endif
