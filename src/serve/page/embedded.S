/* SPDX-License-Identifier: MIT
   The page and the API's description, inside the program (embedded.h). */
    .section .rodata
    .globl mien_page_html_begin, mien_page_html_end
    .globl mien_page_css_begin, mien_page_css_end
    .globl mien_page_js_begin, mien_page_js_end
    .globl mien_openapi_begin, mien_openapi_end
mien_page_html_begin:
    .incbin MIEN_PAGE_HTML
mien_page_html_end:
mien_page_css_begin:
    .incbin MIEN_PAGE_CSS
mien_page_css_end:
mien_page_js_begin:
    .incbin MIEN_PAGE_JS
mien_page_js_end:
mien_openapi_begin:
    .incbin MIEN_OPENAPI
mien_openapi_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
