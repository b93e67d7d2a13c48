"""Rules, hosts and changes on the page, as people use them: a real browser, real servers."""

from pathlib import Path

import msgspec
import pytest
from playwright.async_api import Page, expect

from muttd.pipeline.queue.outcomes import UNHANDLED, About
from tests.browser import Tab, log_in, visit
from tests.page import Site, event, row

pytestmark = pytest.mark.needs("chromium")


async def test_a_rule_is_made_tried_on_a_message_and_on_the_past_and_seen_to_work(site: Site, tab: Tab) -> None:
    page = tab.page
    await site.store.write_audit(
        "a", [row(event(n, message=f"Fan {n} failed"), "unhandled", rule_id=None) for n in range(3)]
    )
    await log_in(site, page, "/rules")
    await expect(page.locator("main")).to_contain_text("There are no rules yet")
    await page.get_by_role("button", name="New rule").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("Fans")
    await dialog.get_by_label("How the text is matched").select_option("regex")
    await dialog.get_by_label("Text in the message").fill("fan (")
    await dialog.get_by_label("Sample message").fill("<11>Oct 11 22:14:15 core-1 env: Fan 3 failed")
    await expect(dialog.locator(".tester").first).to_contain_text("missing")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_label("Text in the message")).to_have_attribute("aria-invalid", "true")
    await dialog.get_by_label("Text in the message").fill("fan [0-9] failed")
    await expect(dialog.locator(".tester").first).to_contain_text("It becomes an alert")
    await dialog.get_by_role("button", name="Run on past events").click()
    await expect(dialog).to_contain_text("3 match; this rule decides 3, making 3 alerts")
    await expect(dialog).to_contain_text("unhandled")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.locator("tr.link")).to_contain_text("Fans")
    (made,) = (await site.get("/api/v1/rules"))["items"]
    assert made["match_string"] == "fan [0-9] failed"
    await visit(site, page, "/changes")
    await page.get_by_role("button", name="Revert").click()
    await page.get_by_role("button", name="Revert it").click()
    await expect(page.locator("main tbody tr")).to_have_count(2)
    assert (await site.get("/api/v1/rules"))["items"] == []
    assert tab.complaints == []


async def test_a_trap_is_tried_as_hex(site: Site, page: Page) -> None:
    await log_in(site, page, "/rules")
    await page.get_by_role("button", name="New rule").click()
    trap = (
        "30 3c 02 01 01 04 06 70 75 62 6c 69 63 a7 2f 02 01 01 02 01 00 02 01 00 30 24 30 0f 06 08 2b 06 01 02 01 01 "
        "03 00 43 03 01 02 03 30 11 06 0a 2b 06 01 06 03 01 01 04 01 00 06 03 2b 06 01"
    )
    await page.get_by_label("Trap OID begins with").fill("1.3.6.1.6.3.1.1.5")
    await page.get_by_label("Sample message").fill(trap)
    await expect(page.locator(".tester").first).to_contain_text("Read as: host 192.0.2.1")


async def test_a_rule_is_drafted_from_what_nobody_handles(site: Site, page: Page) -> None:
    about = event(1, message="Fan 3 failed", hostname="core-1", app_name="env")
    kind = About(host="core-1", template="Fan # failed", team="network", environment="prod", sample=about)
    await site.redis.zadd(UNHANDLED + "windows", {"k": 9e15})
    await site.redis.hset(UNHANDLED + "about", "k", msgspec.json.encode(kind))
    await log_in(site, page, "/unhandled")
    await page.get_by_role("button", name="Draft a rule").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("It becomes an alert")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_have_count(0)
    (made,) = (await site.get("/api/v1/rules"))["items"]
    assert made["app_name"] == "env"


async def test_a_list_of_hosts_is_pasted_or_taken_from_a_file_looked_at_and_added(
    site: Site, page: Page, tmp_path: Path
) -> None:
    await log_in(site, page, "/hosts")
    teams = page.get_by_role("region", name="Teams")
    await teams.get_by_role("button", name="Add a list").click()
    await page.get_by_label("One per line").fill("hostname, team\ncore-*, network\n10.1.0.0/16;storage\nb ad, x")
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator("tbody tr")).to_have_count(3)
    assert (await site.get("/api/v1/teams"))["items"] == []
    await dialog.get_by_role("button", name="Add 3").click()
    await expect(dialog).to_contain_text("2 added, 1 refused")
    await dialog.get_by_role("button", name="Close").click()
    await expect(teams).to_contain_text("10.1.0.0/16")
    await teams.get_by_role("button", name="Delete core-*").click()
    await expect(teams.locator("tbody tr")).to_have_count(1)
    await teams.get_by_role("button", name="Add a list").click()
    file = tmp_path / "teams.csv"
    file.write_text(
        '\ufeffHostname,Team,Note\r\n"db-*","Data, bases","the ""big"" ones"\r\nweb-1,web\r\n', encoding="utf-8"
    )
    await page.get_by_label("or a CSV file").set_input_files(file)
    await expect(dialog.locator("tbody tr")).to_have_count(2)
    await dialog.get_by_role("button", name="Add 2").click()
    await expect(dialog).to_contain_text("2 added.")
    (added,) = [item for item in (await site.get("/api/v1/teams"))["items"] if item["hostname"] == "db-*"]
    assert (added["team_assignment"], added["note"]) == ("Data, bases", 'the "big" ones')


async def test_reverting_asks_again_where_later_changes_would_be_undone_too(site: Site, page: Page) -> None:
    rule = {"match_type": "contains", "match_string": "fan", "prod_handling": "Page_only", "dev_handling": "Log_only"}
    made = await site.send("POST", "/api/v1/rules", rule, 201)
    path = f"/api/v1/rules/{made['id']}"
    await site.send("PUT", path, {"priority": 1}, 200)
    await site.send("PUT", path, {"name": "Fans"}, 200)
    await log_in(site, page, "/changes")
    await page.get_by_role("row", name="priority: 100 → 1").get_by_role("button", name="Revert").click()
    await page.get_by_role("button", name="Revert it").click()
    await expect(page.get_by_role("dialog")).to_contain_text("It was changed since, last by admin")
    await page.get_by_role("dialog").get_by_role("button", name="Close").click()
    assert (await site.get(path))["priority"] == 1
    await page.get_by_role("row", name="priority: 100 → 1").get_by_role("button", name="Revert").click()
    await page.get_by_role("button", name="Revert it").click()
    await page.get_by_role("button", name="Revert it anyway").click()
    await expect(page.locator("main tbody tr")).to_have_count(4)
    found = await site.get(path)
    assert (found["priority"], found["name"]) == (100, None)
