"""Headless Chromium, as a person's browser."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.support.ui import WebDriverWait

from .checks import Refuted

PATIENCE_SECONDS = 30


@contextmanager
def browser(width: int, height: int) -> Iterator[webdriver.Chrome]:
    """A window of that size whose console is kept. It ends with the block."""
    options = webdriver.ChromeOptions()
    for word in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={width},{height}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        driver.set_page_load_timeout(PATIENCE_SECONDS)
        yield driver
    finally:
        driver.quit()


def wait_for(driver: webdriver.Chrome, is_so: Callable[[], Any], what: str) -> Any:
    """What the condition gives once it is something. Raises Refuted when it never is."""
    try:
        return WebDriverWait(driver, PATIENCE_SECONDS, ignored_exceptions=None).until(lambda _: is_so(), what)
    except TimeoutException:
        raise Refuted(f"not so: {what}") from None
