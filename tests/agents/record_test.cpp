// What a single record may say.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/agents/samples.h"

using namespace badged::agents;
using namespace badged::agents::tests;
using Catch::Contains;

TEST_CASE("accepts the example of the documents word for word") {
  const std::string text = R"(name = "invoice-bot"                     # [a-z0-9-], 1 to 63
owner = "finance-platform@example.org"
purpose = "reconciles invoices every night"
autonomy = "medium"                      # low | medium | high | adaptive
access = "app-write"
data_sensitivity = "confidential"        # public | internal | confidential | restricted
business_impact = "moderate"             # low | moderate | high | critical
exposure = "internal"                    # isolated | internal | partner | internet
systems = ["ledger", "mail"]             # what it touches
vendor = { name = "Ledger Inc", contract_ends = 2027-01-31, audit_access = true, breach_notice_hours = 24 }
reassess_by = 2027-03-01

binding = "process"

[match]
unit = "invoice-bot.service"
main_process = true
uid = "agent"
executable = "/proc/self/exe"
executable_sha256 = ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]

[[grant]]
audience = "https://ledger.example.org/"
scope = ["invoices.write", "invoices.read"]
max_lifetime = "5m"
urls = ["https://ledger.example.org/api/"]
authorization_details_types = ["payment"]
)";
  const LoadReport report = load_file("agents.d/invoice-bot.toml", text);
  INFO(all_of(report.problems));
  REQUIRE(report.problems.empty());
  const Record& record = *report.good->find("invoice-bot");
  CHECK(record.owner == "finance-platform@example.org");
  CHECK(record.autonomy == Autonomy::medium);
  CHECK(record.access == Access::app_write);
  CHECK(record.data_sensitivity == Sensitivity::confidential);
  CHECK(record.systems == std::vector<std::string>{"ledger", "mail"});
  CHECK(record.vendor->breach_notice_hours == 24);
  CHECK(to_string(*record.vendor->contract_ends) == "2027-01-31");
  CHECK(to_string(*record.reassess_by) == "2027-03-01");
  CHECK(record.match.uid == 990);
  CHECK(record.match.main_process);
  CHECK(record.match.executable.find("/proc/self") == std::string::npos);  // links resolved
  CHECK(record.match.executable_id.inode != 0);
  CHECK(record.match.executable_sha256.front()[0] == 0xe3);
  REQUIRE(record.grants.size() == 1);
  CHECK(record.grants[0].scope == std::vector<std::string>{"invoices.read", "invoices.write"});
  CHECK(record.grants[0].max_lifetime == std::chrono::minutes(5));
}

TEST_CASE("names every mistake of a file at once, each with line, column and hint") {
  Sample sample;
  sample.autonomy = "full";
  sample.top = "colour = \"red\"\n";
  sample.grants = "[[grant]]\naudience = 7\nmax_lifetime = \"soon\"\n";
  const LoadReport report = load(sample);
  const std::string errors = errors_of(report.problems);
  INFO(errors);
  CHECK_THAT(errors,
             Contains("agents.d/invoice-bot.toml:4:12: error: 'autonomy' cannot be 'full'"));
  CHECK_THAT(errors, Contains("choose one of low, medium, high, adaptive"));
  CHECK_THAT(errors, Contains("agents.d/invoice-bot.toml:11:1: error: unknown key 'colour'"));
  CHECK_THAT(errors, Contains(":16:12: error: 'audience' in [[grant]] is an integer"));
  CHECK_THAT(errors, Contains(":17:16: error: 'max_lifetime' in [[grant]] is no duration: 'soon'"));
  CHECK(report.good->records().empty());
}

TEST_CASE("an unknown key is an error and names the nearest known one") {
  Sample sample;
  sample.top = "reasess_by = 2027-01-01\n";
  CHECK(only_error(sample).hint == "did you mean 'reassess_by'?");
  Sample in_match;
  in_match.match += "executable_sha = [\"00\"]\n";
  CHECK_THAT(only_error(in_match).message, Contains("unknown key 'executable_sha' in [match]"));
  Sample in_grant;
  in_grant.grants += "scopes = [\"x\"]\n";
  CHECK(only_error(in_grant).hint == "did you mean 'scope'?");
  Sample in_vendor;
  in_vendor.top = "vendor = { name = \"v\", contract_end = 2027-01-31 }\n";
  CHECK(only_error(in_vendor).hint == "did you mean 'contract_ends'?");
}

TEST_CASE("a key that the record needs is missed by name") {
  const LoadReport report = load_file("x.toml", "systems = []\n");
  const std::string errors = errors_of(report.problems);
  for (const char* key : {"'name'", "'owner'", "'purpose'", "'autonomy'", "'access'", "[match]"}) {
    CHECK_THAT(errors, Contains(std::string("missing ") + key));
  }
  CHECK(has_warning(report, "no 'data_sensitivity': counted as 'restricted'"));
}

TEST_CASE("a key of the wrong type is an error with the type it has") {
  Sample sample;
  sample.top = "reassess_by = \"2027-03-01\"\n";
  CHECK_THAT(only_error(sample).message, Contains("'reassess_by' is a string"));
  sample.top = "reassess_by = 2027-03-01T00:00:00Z\n";
  CHECK_THAT(only_error(sample).message, Contains("a date with a time"));
  sample.top = "vendor = [1]\n";
  CHECK_THAT(only_error(sample).message, Contains("'vendor' is an array"));
  Sample scope;
  scope.grants = "[[grant]]\naudience = \"a\"\nscope = \"invoices.read\"\n";
  CHECK_THAT(only_error(scope).message, Contains("'scope' in [[grant]] is a string"));
  Sample single;
  single.grants = "[grant]\naudience = \"a\"\n";
  CHECK_THAT(only_error(single).hint, Contains("[[grant]], with two brackets"));
  Sample flag;
  flag.match += "main_process = \"yes\"\n";
  CHECK_THAT(only_error(flag).message, Contains("'main_process' in [match] is a string"));
}

TEST_CASE("a name is a DNS label of small letters and equals the file's") {
  Sample sample;
  for (const char* name : {"Invoice", "invoice_bot", "", "a/b", "bot.1", "b\xc3\xb6t"}) {
    sample.name = name;
    CAPTURE(name);
    CHECK_FALSE(load_file("agents.d/" + sample.name + ".toml", sample.text()).clean());
  }
  sample.name = std::string(64, 'a');
  CHECK_THAT(only_error(sample).message, Contains("'name' cannot be"));
  sample.name = std::string(63, 'a');
  CHECK(load(sample).clean());
  sample.name = "mail-bot";
  const LoadReport renamed = load_file("agents.d/invoice-bot.toml", sample.text());
  CHECK_THAT(errors_of(renamed.problems), Contains("rename the file to mail-bot.toml"));
}

TEST_CASE("texts that could rewrite an admin's screen are refused") {
  for (const char* owner : {"a\\nb", "a\\u001b[2J", "a\\u202Eb", "a\\u009bb", "a\\u2028b", ""}) {
    std::string text = Sample{}.text();
    text.replace(text.find("finance-platform@example.org"), 28, owner);
    CAPTURE(owner);
    const LoadReport report = load_file("invoice-bot.toml", text);
    CHECK_FALSE(report.clean());
    for (char c : all_of(report.problems)) CHECK((c == '\n' || (c >= 0x20 && c < 0x7f)));
  }
}

TEST_CASE("an empty match is refused, and so is an executable alone") {
  Sample sample;
  sample.match = "";
  CHECK_THAT(only_error(sample).message, Contains("neither a unit nor a uid"));
  sample.match = "executable = \"/proc/self/exe\"\n";
  CHECK_THAT(only_error(sample).hint, Contains("an executable alone is no identity"));
}

TEST_CASE("unit names are exact system services") {
  Sample sample;
  for (const char* unit : {"invoice-bot", "invoice-*.service", "invoice-bot.socket", ".service",
                           "@.service", "@x.service", "a b.service", "../a.service",
                           "user@1000.service", "user@.service", "invoice[12].service"}) {
    sample.match = "unit = \"" + std::string(unit) + "\"\n";
    CAPTURE(unit);
    const Diagnostic error = only_error(sample);
    CHECK(error.at.line == 12);
    CHECK(error.at.column == 8);
    CHECK_FALSE(error.hint.empty());
  }
  for (const char* unit : {"a.service", "a@.service", "a@1.service", "a\\\\x2db.service"}) {
    sample.match = "unit = \"" + std::string(unit) + "\"\n";
    CAPTURE(unit);
    CHECK(load(sample).clean());
  }
}

TEST_CASE("a uid is a user's name or a number") {
  Sample sample;
  sample.match = "uid = 990\n";
  CHECK(load(sample).good->find("invoice-bot")->match.uid == 990);
  sample.match = "uid = 4294967294\n";
  CHECK(load(sample).clean());
  for (const char* uid : {"-1", "4294967295", "\"\"", "\"990\"", "\"a:b\"", "true", "9.5"}) {
    sample.match = "uid = " + std::string(uid) + "\n";
    CAPTURE(uid);
    CHECK_THAT(only_error(sample).message, Contains("'uid' in [match]"));
  }
  sample.match = "uid = \"nobody-here\"\n";
  const Diagnostic unknown = only_error(sample);
  CHECK_THAT(unknown.message, Contains("no user named 'nobody-here'"));
  CHECK(unknown.at.line == 12);
}

TEST_CASE("main_process is the default for a unit with process binding, and needs a unit") {
  Sample sample;
  CHECK(load(sample).good->find("invoice-bot")->match.main_process);
  sample.match += "main_process = false\n";
  CHECK_FALSE(load(sample).good->find("invoice-bot")->match.main_process);
  Sample by_unit;
  by_unit.binding = "unit";
  CHECK_FALSE(load(by_unit).good->find("invoice-bot")->match.main_process);
  by_unit.match += "main_process = true\n";
  CHECK(has_warning(load(by_unit), "'main_process = true' with binding"));
  Sample by_uid;
  by_uid.match = "uid = 990\n";
  CHECK_FALSE(load(by_uid).good->find("invoice-bot")->match.main_process);
  by_uid.match = "uid = 990\nmain_process = true\n";
  CHECK_THAT(only_error(by_uid).message, Contains("'main_process' in [match] without a unit"));
}

TEST_CASE("binding to a unit needs a unit and ends at elevated") {
  Sample sample;
  sample.binding = "unit";
  CHECK(load(sample).clean());
  sample.match = "uid = 990\n";
  CHECK_THAT(only_error(sample).message, Contains("without a unit"));
  Sample high;
  high.binding = "unit";
  high.autonomy = "high";
  high.access = "admin";
  const Diagnostic error = only_error(high);
  CHECK(error.message == "binding = \"unit\" in tier high-assurance");
  CHECK(error.at.line == 10);
}

TEST_CASE("an adaptive agent says when it is reassessed") {
  Sample sample;
  sample.autonomy = "adaptive";
  CHECK_THAT(only_error(sample).message, Contains("no 'reassess_by'"));
  sample.top = "reassess_by = 2027-03-01\n";
  CHECK(load(sample).clean());
}

TEST_CASE("Bearer is for baseline alone") {
  Sample sample;
  sample.grants += "bearer = true\n";
  const Diagnostic error = only_error(sample);
  CHECK(error.message == "bearer = true in tier elevated");
  CHECK(error.at.line == 19);
  sample.autonomy = "low";
  sample.access = "internal-read";
  CHECK(load(sample).clean());
  // C16: the same cell, but a vendor's.
  sample.top = "vendor = { name = \"Ledger Inc\" }\n";
  CHECK(only_error(sample).message == "bearer = true in tier elevated");
}

TEST_CASE("above baseline a uid of a login user is no identity") {
  Sample sample;
  sample.match = "uid = \"alice\"\n";
  const Diagnostic error = only_error(sample);
  CHECK_THAT(error.message, Contains("a login user: 'alice'"));
  CHECK(error.at.line == 12);
  sample.autonomy = "low";
  sample.access = "internal-read";
  CHECK(load(sample).clean());  // baseline may

  Sample in_unit;
  in_unit.match = "unit = \"x.service\"\nuid = \"alice\"\n";
  CHECK(load(in_unit).clean());  // the unit tells it apart
  Sample number;
  number.match = "uid = 64999\n";
  CHECK(load(number).clean());  // no passwd entry
}

TEST_CASE("a second name of a uid that can log in counts, and so does an unknown shell") {
  SampleAccounts accounts;
  accounts.add(990, "backdoor", "/bin/sh");
  accounts.add(700, "odd", "/usr/local/bin/anything");
  accounts.add(701, "empty", "");
  for (const char* uid : {"990", "700", "701"}) {
    Sample sample;
    sample.match = "uid = " + std::string(uid) + "\n";
    const std::pair<std::string, std::string> files[] = {sample.file()};
    CAPTURE(uid);
    CHECK_THAT(errors_of(load_texts(files, {}, accounts).problems), Contains("a login user"));
  }
}

TEST_CASE("an executable is a program file that exists") {
  std::string path = (std::filesystem::temp_directory_path() / "badged-agent-XXXXXX").string();
  const int fd = ::mkstemp(path.data());
  REQUIRE(fd >= 0);
  ::close(fd);
  std::ofstream(path) << "#!/usr/bin/python3\nprint()\n";
  Sample sample;
  sample.match = "unit = \"a.service\"\nexecutable = \"" + path + "\"\n";
  const Diagnostic script = only_error(sample);
  CHECK_THAT(script.message, Contains("'executable' is a script"));
  CHECK_THAT(script.hint, Contains("name the interpreter"));
  CHECK(script.at.line == 13);
  std::remove(path.c_str());
  CHECK_THAT(only_error(sample).message, Contains("No such file"));
  for (const char* other : {"/tmp", "/dev/null"}) {
    sample.match = "unit = \"a.service\"\nexecutable = \"" + std::string(other) + "\"\n";
    CHECK_THAT(only_error(sample).message, Contains("no regular file"));
  }
  sample.match = "unit = \"a.service\"\nexecutable = \"bin/agent\"\n";
  CHECK_THAT(only_error(sample).message, Contains("no absolute path"));
  sample.match = "unit = \"a.service\"\nexecutable = \"/bin/a (deleted)\"\n";
  CHECK_THAT(only_error(sample).message, Contains("(deleted)"));
}

TEST_CASE("digests are 64 hex digits, at least one where the key is given") {
  Sample sample;
  for (const char* digests : {"[]", "[\"abc\"]", "[\"zz\"]", "[7]"}) {
    sample.match = "unit = \"a.service\"\nexecutable_sha256 = " + std::string(digests) + "\n";
    CAPTURE(digests);
    CHECK_FALSE(load(sample).clean());
  }
}

TEST_CASE("the worst is assumed of a scale that is not given") {
  std::string text = Sample{}.text();
  for (const char* line : {"data_sensitivity = \"confidential\"\n",
                           "business_impact = \"moderate\"\n", "exposure = \"internal\"\n"}) {
    text.erase(text.find(line), std::string_view(line).size());
  }
  const LoadReport report = load_file("invoice-bot.toml", text);
  REQUIRE(report.clean());
  const Record& record = *report.good->find("invoice-bot");
  CHECK(record.data_sensitivity == Sensitivity::restricted);
  CHECK(record.business_impact == Impact::critical);
  CHECK(record.exposure == Exposure::internet);
}
