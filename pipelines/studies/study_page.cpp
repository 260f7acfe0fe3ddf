#include "pipelines/studies/study_page.h"

#include <fmt/format.h>

#include "pipelines/monitoring/html.h"

namespace crescendo::pipelines {

extern const std::string_view kStudyPageStyle;  // study_page.css

std::string study_page(std::string_view title, const std::string& body) {
  const std::string name = escape_html(title);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n<h1>{}</h1>\n{}</main>\n"
      "</body>\n</html>\n",
      name, kStudyPageStyle, name, body);
}

}  // namespace crescendo::pipelines
