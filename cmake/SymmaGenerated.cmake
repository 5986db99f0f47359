# Turns the report's script, style and chart library into a source file, so that the installed program reads no file.
# Included by CMakeLists.txt; run as a script (cmake -P) it writes the source.
if(CMAKE_SCRIPT_MODE_FILE)
  set(text "// Generated from the files named below; see cmake/SymmaGenerated.cmake.\n#include \"symma/report/assets.h\"\n\nnamespace symma::assets {\n")
  foreach(name chart_js page_js page_css)
    file(READ "${${name}}" content)
    if(content MATCHES "\\)symma\"|</[sS][cC][rR][iI][pP][tT]|</[sS][tT][yY][lL][eE]")
      message(FATAL_ERROR "${${name}} holds text that would end the page's <script> or <style>")
    endif()
    string(APPEND text "\nconst std::string_view ${name} = R\"symma(${content})symma\";\n")
  endforeach()
  string(APPEND text "\n}  // namespace symma::assets\n")
  file(WRITE "${output}" "${text}")
  return()
endif()

find_file(SYMMA_CHART_JS NAMES chart.min.js Chart.min.js
          PATHS /usr/share/javascript/chart.js /usr/local/share/javascript/chart.js
          DOC "Chart.js 3, minified; Debian's package is libjs-chart.js")
if(NOT SYMMA_CHART_JS)
  message(FATAL_ERROR "chart.min.js not found: install libjs-chart.js, or give -DSYMMA_CHART_JS=FILE")
endif()

set(SYMMA_ASSETS ${CMAKE_BINARY_DIR}/generated/report_assets.cc)
add_custom_command(
  OUTPUT ${SYMMA_ASSETS}
  COMMAND ${CMAKE_COMMAND} -Dchart_js=${SYMMA_CHART_JS} -Dpage_js=${CMAKE_SOURCE_DIR}/symma/report/page.js
          -Dpage_css=${CMAKE_SOURCE_DIR}/symma/report/page.css -Doutput=${SYMMA_ASSETS}
          -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS ${SYMMA_CHART_JS} symma/report/page.js symma/report/page.css ${CMAKE_CURRENT_LIST_FILE}
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMENT "Embedding the report's script, style and charts" VERBATIM)
target_sources(symma_light PRIVATE ${SYMMA_ASSETS})
