// What admins see of records.
#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <sstream>

#include "daemon/agents/report.h"
#include "tests/agents/samples.h"

using namespace badged::agents;
using namespace badged::agents::tests;
using Catch::Contains;

namespace {

Sample in_cell(const char* name, const char* autonomy, const char* access) {
  Sample sample;
  sample.name = name;
  sample.autonomy = autonomy;
  sample.access = access;
  sample.match = "unit = \"" + sample.name + ".service\"\n";
  return sample;
}

boost::json::object json(const std::string& text) {
  return boost::json::parse(text).as_object();
}

}  // namespace

TEST_CASE("the matrix shows each cell's tier and agents within 80 columns of ASCII") {
  std::vector<std::pair<std::string, std::string>> files;
  files.push_back(in_cell("invoice-bot", "medium", "app-write").file());
  Sample vendor = in_cell("vendor-bot", "low", "internal-read");
  vendor.top = "vendor = { name = \"V\" }\n";
  files.push_back(vendor.file());
  const std::string long_name = "a-name-that-is-longer-than-a-cell-of-the-matrix";
  files.push_back(in_cell(long_name.c_str(), "high", "infrastructure").file());
  for (int i = 0; i < 20; ++i) {
    files.push_back(in_cell(("crowd-" + std::to_string(i)).c_str(), "low", "admin").file());
  }
  const LoadReport report = load(files);
  REQUIRE(report.clean());
  const std::string text = matrix_text(*report.good, TierMap());
  INFO(text);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    CHECK(line.size() < 80);
    for (char c : line) CHECK((c >= 0x20 && c < 0x7f));
  }
  CHECK_THAT(text, Contains("| invoice-bot"));
  CHECK_THAT(text, Contains("| + 12 more"));
  CHECK_THAT(text, Contains("| vendor-bot"));
  CHECK_THAT(text, Contains("^ a vendor's agent"));
  CHECK_THAT(text, Contains("low      | [.]         | [.]         | [+]"));
  CHECK_THAT(text, Contains("| [#]"));

  const auto cells = json(matrix_json(*report.good, TierMap())).at("cells").as_array();
  REQUIRE(cells.size() == 20);
  std::size_t agents = 0;
  for (const auto& cell : cells) agents += cell.at("agents").as_array().size();
  CHECK(agents == 23);
}

TEST_CASE("a validation report ends with a verdict in words") {
  const LoadReport good = load(in_cell("one", "low", "public-read"));
  CHECK(validation_text(good, "agents.d") ==
        "agents.d: 1 record, 1 is good, 0 errors, 0 warnings: would be served\n");
  Sample broken = in_cell("two", "low", "public-read");
  broken.top = "colour = 1\n";
  const LoadReport bad = load({in_cell("one", "low", "public-read").file(), broken.file()});
  const std::string text = validation_text(bad, "agents.d");
  CHECK_THAT(text, Contains("agents.d/two.toml:11:1: error: unknown key 'colour'"));
  CHECK_THAT(text, Contains("2 records, 1 is good, 1 error, 0 warnings: a reload would keep"));
  const auto object = json(validation_json(bad, "agents.d"));
  CHECK(object.at("ok") == false);
  CHECK(object.at("files") == 2);
  CHECK(object.at("good").as_array().size() == 1);
  const auto& problem = object.at("problems").at(0);
  CHECK(problem.at("file") == "agents.d/two.toml");
  CHECK(problem.at("line") == 11);
  CHECK(problem.at("column") == 1);
  CHECK(problem.at("severity") == "error");
}

TEST_CASE("an agent is shown with its cell, its tier, and how both came about") {
  Sample sample = in_cell("invoice-bot", "medium", "app-write");
  sample.top = "vendor = { name = \"Ledger Inc\", contract_ends = 2027-01-31 }\n";
  const auto set = load(sample).good;
  const Record& record = *set->find("invoice-bot");
  const std::string text = record_text(record, TierLimitTable());
  INFO(text);
  CHECK_THAT(text, Contains("tier              high-assurance"));
  CHECK_THAT(text, Contains("  cell: autonomy medium with access app-write -> elevated"));
  CHECK_THAT(text, Contains("  vendor: a third party's agent is held one tier stricter -> "));
  CHECK_THAT(text, Contains("unit invoice-bot.service (main process)"));
  CHECK_THAT(text, Contains("lives           300s"));
  const auto object = json(record_json(record, TierLimitTable()));
  CHECK(object.at("tier") == "high-assurance");
  CHECK(object.at("derivation").as_array().size() == 2);
  CHECK(object.at("match").at("unit") == "invoice-bot.service");
  CHECK(object.at("grants").at(0).at("lifetime_seconds") == 300);
  CHECK(object.at("grants").at(0).at("token_type") == "DPoP");
  CHECK(object.at("vendor").at("contract_ends") == "2027-01-31");
  CHECK(json(list_json(*set)).at("agents").as_array().size() == 1);
  CHECK_THAT(list_text(*set), Contains("invoice-bot  high-assurance  process  unit invoice-bot"));
}

TEST_CASE("a new record validates once its blanks are filled, and not before") {
  for (const char* unit : {"invoice-bot.service", "Mail_Bot@.service", "a\\x2db@eu.service"}) {
    CAPTURE(unit);
    const auto text = new_record(unit);
    REQUIRE(text.has_value());
    const auto name_at = text->find("name = \"") + 8;
    const std::string name = text->substr(name_at, text->find('"', name_at) - name_at);
    const LoadReport blank = load_file(name + ".toml", *text);
    CHECK_FALSE(blank.clean());
    const std::string errors = errors_of(blank.problems);
    for (const char* key : {"'owner'", "'purpose'", "'autonomy'", "'access'", "'audience'"}) {
      CHECK_THAT(errors, Contains(std::string(key)));
    }
    std::string filled = *text;
    auto fill = [&](const std::string& key, const std::string& value) {
      const std::string blank_line = key + " = \"\"";
      REQUIRE(filled.find(blank_line) != std::string::npos);
      filled.replace(filled.find(blank_line), blank_line.size(), key + " = \"" + value + "\"");
    };
    fill("owner", "team@example.org");
    fill("purpose", "tries it");
    fill("autonomy", "medium");
    fill("access", "app-write");
    fill("data_sensitivity", "internal");
    fill("business_impact", "low");
    fill("exposure", "internal");
    fill("audience", "https://a.example/");
    const LoadReport report = load_file(name + ".toml", filled);
    INFO(all_of(report.problems));
    CHECK(report.problems.empty());
    CHECK(report.good->find(name)->match.unit == unit);
  }
  CHECK_FALSE(new_record("user@1000.service").has_value());
  CHECK_FALSE(new_record("invoice-bot").has_value());
}
