"""Keys and the file of rules on the page, as people use them: a real browser, real servers."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser import browsing, log_in
from tests.page import Site

pytestmark = pytest.mark.needs("chromium")

RULE = {"match_type": "contains", "match_string": "fan", "prod_handling": "Page_only", "dev_handling": "Log_only"}


async def look(page: Page, name: str) -> None:
    """A picture for who asks for one: MUTT_SCREENSHOTS names a directory."""
    if directory := os.environ.get("MUTT_SCREENSHOTS"):
        await page.screenshot(path=Path(directory) / f"{name}.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_key_is_made_shown_once_and_deleted(site: Site, scheme: str) -> None:
    async with browsing(viewport={"width": 1280, "height": 900}, color_scheme=scheme) as tab:
        page = tab.page
        await log_in(site, page, "/keys")
        await expect(page.locator("main")).to_contain_text("There are no keys other than those in the secrets.")
        await page.get_by_role("button", name="New key").click()
        await page.get_by_label("Name").fill("Night shift")
        await page.get_by_label("Role").select_option("operator")
        await page.get_by_label("Expires").fill("2099-01-01T00:00")
        await look(page, f"keys-new-{scheme}")
        assert await tab.unreachable() == []
        await page.get_by_role("button", name="Create the key").click()
        made = page.get_by_label("The key", exact=True)
        key = await made.input_value()
        assert await tab.unreachable() == []
        await look(page, f"keys-once-{scheme}")
        await page.get_by_role("button", name="Close").click()
        await expect(page.get_by_role("row", name="Night shift")).to_contain_text("operator")
        assert key not in await page.content()
        assert await tab.unreachable() == []
        assert (await site.client.get("/api/v1/session", headers={"X-API-KEY": key})).status == 200
        await look(page, f"keys-{scheme}")
        await page.get_by_role("button", name="Delete Night shift").click()
        await page.get_by_role("button", name="Delete it").click()
        await expect(page.locator("main")).to_contain_text("There are no keys other than those in the secrets.")
        assert (await site.client.get("/api/v1/session", headers={"X-API-KEY": key})).status == 401
        assert tab.complaints == []


async def test_a_viewer_sees_no_keys_and_no_way_to_change_rules(site: Site) -> None:
    viewer = await site.send("POST", "/api/v1/keys", {"name": "v", "role": "viewer"}, 201)
    async with browsing(viewport={"width": 360, "height": 800}) as tab:
        await log_in(site, tab.page, "/keys", viewer["key"])
        await expect(tab.page.locator("main")).to_contain_text("Keys are for administrators.")
        await look(tab.page, "keys-360")
        await tab.page.goto(site.address + "/rules")
        await expect(tab.page.get_by_role("link", name="Export")).to_be_visible()
        await expect(tab.page.get_by_role("button", name="Import")).to_have_count(0)


async def test_a_file_of_rules_is_shown_before_it_is_taken(site: Site, tmp_path: Path) -> None:
    await site.send("POST", "/api/v1/rules", {**RULE, "name": "Fans"}, 201)
    await site.send("POST", "/api/v1/rules", {**RULE, "name": "Pumps"}, 201)
    async with browsing(viewport={"width": 1280, "height": 900}) as tab:
        page = tab.page
        await log_in(site, page, "/rules")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Export").click()
        file = tmp_path / "rules.yaml"
        await (await download.value).save_as(file)
        text = file.read_text()
        file.write_text(text.replace("match_string: fan\n", "match_string: fan failed\n", 1))
        await page.get_by_role("button", name="Import").click()
        await page.get_by_label("YAML file").set_input_files(file)
        await expect(page.get_by_role("dialog")).to_contain_text("0 new, 1 changed, 0 deleted, 1 unchanged.")
        assert await tab.unreachable() == []
        await look(page, "rules-import")
        file = tmp_path / "wrong.yaml"
        file.write_text(text.replace("contains", "glob", 1))
        await page.get_by_label("YAML file").set_input_files(file)
        await expect(page.get_by_role("dialog")).to_contain_text("rules[0].match_type must be one of")
        await expect(page.get_by_role("button", name="Apply")).to_be_disabled()
        file = tmp_path / "right.yaml"
        file.write_text(text.replace("name: Pumps", "name: Fountains"))
        await page.get_by_label("YAML file").set_input_files(file)
        await expect(page.get_by_role("dialog")).to_contain_text("1 changed")
        await page.get_by_role("button", name="Apply").click()
        await expect(page.locator("main")).to_contain_text("Fountains")
        assert tab.complaints == []
