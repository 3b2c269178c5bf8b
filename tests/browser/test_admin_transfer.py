"""Importing a CSV file into a device, and exporting its points."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

COUNT = 5_000
START = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 1_000


def _time(number):
    return (START + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _rows(count=COUNT):
    """Rows of an export: numbers, texts with all that CSV quotes, formulas, locations and metadata."""
    for number in range(count):
        value = [number / 4, f'text "{number}",\nof two lines', f"=cmd({number})", "true"][number % 4]
        place = f"{number % 90},{number % 180}" if number % 5 == 0 else ""
        metadata = json.dumps({"n": number}) if number % 7 == 0 else ""
        yield [
            "temp" if number % 2 else "mode",
            value,
            "C" if number % 2 else "",
            f"g{number}",
            _time(number),
            place,
            metadata,
        ]


def _file(tmp_path, rows, header="variable,value,unit,group,time,location,metadata", name="points.csv"):
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    path = tmp_path / name
    path.write_text(f"{header}\r\n{buffer.getvalue()}", newline="")
    return path


def _amount(site, device):
    return site.call("GET", f"/device/{device}/data_amount", site.profile_token)


@pytest.fixture
def transfer(page, sign_in):
    """Return a function that opens the page of import and export for a device."""

    def do(device, keep=False):
        page.add_init_script("delete window.showSaveFilePicker")  # it asks outside of the page
        sign_in(page, place=f"transfer/{device}", keep=keep)
        page.get_by_label("CSV file").wait_for()
        return page

    return do


def _import(page):
    page.get_by_role("region", name="Import").get_by_role("button", name=re.compile("^Import")).click()


def _export(page, tmp_path, kind="csv"):
    page.get_by_role("button", name="Export", exact=True).first.click()
    section = page.get_by_role("region", name="Export")
    section.get_by_label("Points").select_option("0")
    section.get_by_label("Format").select_option(kind)
    with page.expect_download() as started:
        section.get_by_role("button", name="Export").click()
    path = tmp_path / f"export.{kind}"
    started.value.save_as(path)
    expect(section.get_by_text("Done")).to_be_visible()
    return path.read_bytes().decode()


def test_import_of_5_000_lines_comes_out_of_an_export_again(site, new_device, transfer, tmp_path):
    device, _ = new_device("Transfer")
    rows = list(_rows())
    page = transfer(device)
    page.get_by_label("CSV file").set_input_files(_file(tmp_path, rows))
    expect(page.get_by_role("region", name="Preview").get_by_role("row")).to_have_count(6)
    _import(page)
    expect(page.get_by_text("5,000 points stored")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Done")).to_be_visible()
    expect(page.get_by_text("0 left out")).to_be_visible()
    assert _amount(site, device) == COUNT
    exported = list(csv.reader(io.StringIO(_export(page, tmp_path))))
    assert exported[0] == ["variable", "value", "unit", "group", "time", "location", "metadata", "id"]
    guarded = [
        [cell if column != 1 or not str(cell).startswith("=") else f"'{cell}" for column, cell in enumerate(row)]
        for row in rows
    ]
    as_text = [[f"{cell:g}" if isinstance(cell, float) else cell for cell in row] for row in guarded]
    as_json = [row[:6] + [row[6].replace(" ", "")] for row in as_text]
    assert sorted(row[:7] for row in exported[1:]) == sorted(as_json)
    lines = _export(page, tmp_path, "ndjson").splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == COUNT == len(lines)


def test_table_of_a_spreadsheet_is_read_as_its_owner_reads_it(site, new_device, open_context, sign_in, tmp_path):
    device, _ = new_device("Spreadsheet")
    path = tmp_path / "table.csv"
    path.write_text(
        "Gemessen;Feuchte\r\n27.11.2026 14:30;48,5\r\n3.4.2026 00:00;-0,25\r\n31.02.2026;1\r\n", encoding="utf-8-sig"
    )
    page = open_context(timezone_id="Europe/Berlin").new_page()
    sign_in(page, place=f"device/{device}/points")
    page.get_by_role("link", name="Import or export").click()
    page.get_by_label("CSV file").set_input_files(path)
    expect(page.get_by_label("Numbers have a decimal comma")).to_be_checked()
    expect(page.get_by_label("Times without a time zone")).to_be_checked()
    _import(page)
    expect(page.get_by_text("2 points stored")).to_be_visible()
    expect(page.get_by_text("1 left out").first).to_be_visible()
    points = site.call("GET", f"/device/{device}/data", site.profile_token)
    assert [(point["variable"], point["value"], point["time"]) for point in points] == [
        ("feuchte", 48.5, "2026-11-27T13:30:00.000Z"),
        ("feuchte", -0.25, "2026-04-02T22:00:00.000Z"),
    ]


def test_import_that_a_reload_interrupts_is_resumed_without_doubles(site, new_device, transfer, tmp_path):
    device, _ = new_device("Interrupted")
    path = _file(tmp_path, _rows())
    page = transfer(device, keep=True)
    sent = []
    held = []

    def hold(route):
        sent.append(route.request.headers["idempotency-key"])
        if len(sent) <= 2:
            route.continue_()
        else:
            held.append(route)  # neither sent nor answered

    page.route("**/data", hold)
    page.get_by_label("CSV file").set_input_files(path)
    _import(page)
    expect(page.get_by_text(f"{2 * BATCH:,} points stored")).to_be_visible(timeout=60_000)
    page.reload()
    page.unroute("**/data")  # not before: the browser would send what is held
    expect(page.get_by_text("is not finished")).to_contain_text("2,000 points")
    page.get_by_label("CSV file").set_input_files(path)
    after = []
    page.on("request", lambda request: after.append(request.headers.get("idempotency-key")))
    _import(page)
    expect(page.get_by_text("5,000 points stored")).to_be_visible(timeout=60_000)
    keys = [key for key in after if key]
    assert [key.rpartition("-")[2] for key in keys] == ["3", "4", "5"]
    assert {key.rpartition("-")[0] for key in keys} == {sent[0].rpartition("-")[0]}
    assert _amount(site, device) == COUNT
    expect(page.get_by_text("is not finished")).to_have_count(0)


def test_table_with_a_column_for_each_sensor_is_mapped(site, new_device, transfer, tmp_path):
    device, token = new_device("Wide")
    rows = [[_time(0), "21.5", "40", "x"], [_time(1), "22", "", "y"]]
    page = transfer(device)
    page.get_by_label("CSV file").set_input_files(_file(tmp_path, rows, "When,Temp (C),Humidity,Note"))
    page.get_by_label("Column 1 becomes").select_option("time")
    page.get_by_label("Column 4 becomes").select_option("")
    page.get_by_label("Variable of column 2").fill("temperature")
    expect(page.get_by_role("region", name="Preview").get_by_role("row")).to_have_count(4)
    _import(page)
    expect(page.get_by_text("3 points stored")).to_be_visible()
    points = site.call("GET", "/data?ordination=ascending", token)
    found = sorted((point["variable"], point["value"], point["time"]) for point in points)
    assert found == [("humidity", 40, _time(0)), ("temperature", 21.5, _time(0)), ("temperature", 22, _time(1))]


def test_lines_that_are_no_points_are_named_and_can_be_downloaded(site, new_device, transfer, tmp_path, tolerated):
    tolerated.append("400")  # the server refuses the last line
    device, _ = new_device("Errors")
    rows = [
        ["a", 1, _time(0)],
        ["a b", 2, _time(1)],
        ["a", 3, "yesterday"],
        ["a", 4, _time(3)],
        ["a", "1e400", _time(4)],
    ]
    page = transfer(device)
    page.get_by_label("CSV file").set_input_files(_file(tmp_path, rows, "variable,value,time"))
    expect(
        page.get_by_role("region", name="Preview").get_by_text("Left out: variable must not contain")
    ).to_be_visible()
    _import(page)
    expect(page.get_by_text("Done")).to_be_visible()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download all errors").click()
    path = tmp_path / "errors.csv"
    started.value.save_as(path)
    errors = list(csv.reader(path.read_text().splitlines()))
    assert errors[0] == ["line", "error"]
    assert [line for line, _ in errors[1:]] == ["3", "4", "6"]
    assert _amount(site, device) == 2


def test_limit_of_requests_is_obeyed(site, new_device, transfer, tmp_path, tolerated):
    tolerated.append("429")
    device, _ = new_device("Limited")
    page = transfer(device)
    page.clock.install()
    seen = []

    def limit(route):
        seen.append(1)
        if len(seen) == 1:
            body = {"status": False, "message": "Too many requests (Retry-After: 20)"}
            route.fulfill(status=429, headers={"Retry-After": "20"}, json=body)
        else:
            route.continue_()

    page.route("**/data", limit)
    page.get_by_label("CSV file").set_input_files(_file(tmp_path, [["a", 1, _time(0)]], "variable,value,time"))
    _import(page)
    expect(page.get_by_text("The server asks to wait: 20 s")).to_be_visible()
    assert len(seen) == 1
    page.clock.run_for(20_000)
    expect(page.get_by_text("1 points stored")).to_be_visible()
    assert _amount(site, device) == 1


def test_file_that_is_no_csv_says_why(new_device, transfer, tmp_path):
    device, _ = new_device("No CSV")
    page = transfer(device)
    path = tmp_path / "latin.csv"
    path.write_bytes("variable,value\ntür,1\n".encode("latin-1"))
    page.get_by_label("CSV file").set_input_files(path)
    expect(page.get_by_role("alert")).to_contain_text("not UTF-8")


def test_refused_import_shows_the_message_and_the_request(site, new_device, transfer, tmp_path, tolerated):
    tolerated.append("400")
    device, _ = new_device("Off")
    page = transfer(device)
    page.get_by_label("CSV file").set_input_files(_file(tmp_path, [["a", 1, _time(0)]], "variable,value,time"))
    site.call("PUT", f"/device/{device}", site.profile_token, {"active": False})
    _import(page)
    expect(page.get_by_role("alert")).to_contain_text("deactivated")
    expect(page.get_by_role("alert")).to_contain_text("Request ")
