#include "symma/report/page.h"

#include "symma/report/assets.h"
#include "symma/report/format.h"

namespace symma {

std::string page_of(const std::string& title, const std::string& version, const std::string& body,
                    const Json& data) {
  std::string page =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      // The page loads nothing, and the browser is told to hold it to that.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'; img-src data:\">\n";
  page += "<title>" + escape(title) + " · symma</title>\n<style>\n";
  page += assets::page_css;
  page +=
      "</style>\n<noscript><style>.canvas, .choice, .legend, .playback { display: none; "
      "}</style></noscript>\n";
  page += "</head>\n<body>\n<main>\n";
  page += "<noscript><p class=\"note\">Charts need JavaScript; the tables are all here.</p></noscript>\n";
  page += body + "</main>\n";
  page += "<footer>symma " + escape(version) + " · charts drawn by Chart.js 3, MIT licence</footer>\n";
  page += "<script type=\"application/json\" id=\"data\">" + script_json(data) + "</script>\n<script>\n";
  page += assets::chart_js;
  page += "\n</script>\n<script>\n";
  page += assets::page_js;
  page += "</script>\n</body>\n</html>\n";
  return page;
}

}  // namespace symma
