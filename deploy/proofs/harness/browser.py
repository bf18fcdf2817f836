"""Headless Chromium."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.support.ui import WebDriverWait

from .checks import Refuted

TIMEOUT_SECONDS = 30


@contextmanager
def browser(width: int, height: int) -> Iterator[webdriver.Chrome]:
    """A window of that size, whose console messages are recorded. It is closed when the block ends."""
    options = webdriver.ChromeOptions()
    for word in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={width},{height}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        driver.set_page_load_timeout(TIMEOUT_SECONDS)
        yield driver
    finally:
        driver.quit()


def wait_for(driver: webdriver.Chrome, condition: Callable[[], Any], what: str) -> Any:
    """The first true result of the condition. Raises Refuted after the timeout.

    An element that the page replaces while the condition reads it is no fault: the next reading finds the new one.
    """
    try:
        wait = WebDriverWait(driver, TIMEOUT_SECONDS, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(lambda _: condition(), what)
    except TimeoutException:
        raise Refuted(f"timed out: {what}") from None
