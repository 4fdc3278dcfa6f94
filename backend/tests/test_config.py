"""Settings: what is read, what is refused and in which words."""

import os
import stat
from pathlib import Path

import pytest

from app.config import BACKEND, EXAMPLE_SECRET, get_settings, load_settings
from app.errors import ConfigurationError

SECRET = "s" * 32
PRODUCTION = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://u:password@h/d",
    "BETTER_AUTH_SECRET": SECRET,
    "CORS_ORIGINS": "https://app.example.com",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch):
    def set_variables(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


def test_the_defaults_are_for_development(tmp_path):
    settings = load_settings(data_dir=tmp_path)
    assert settings.environment == "development"
    assert settings.database_url == ""
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.cors_origin_list == ["http://localhost:3000"]


def test_each_variable_is_read(environment):
    environment(PRODUCTION | {"PORT": "9000", "WORKERS": "4", "HEALTH_TIMEOUT": "0.5"})
    settings = load_settings()
    assert settings.production
    assert settings.database_url == "postgresql://u:password@h/d"
    assert settings.better_auth_secret == SECRET
    assert settings.cors_origins == "https://app.example.com"
    assert (settings.port, settings.workers, settings.health_timeout) == (9000, 4, 0.5)


@pytest.mark.parametrize(
    "origins", ["http://localhost:3000", "https://a.example,http://[::1]:3000", "http://10.0.0.1"]
)
def test_an_origin_is_taken_as_browsers_send_it(environment, origins):
    environment({"CORS_ORIGINS": origins, "BETTER_AUTH_SECRET": SECRET})
    assert load_settings().cors_origins == origins


def test_a_log_level_may_be_in_capitals(environment):
    environment({"LOG_LEVEL": "WARNING", "BETTER_AUTH_SECRET": SECRET})
    assert load_settings().log_level == "warning"


def test_an_empty_variable_is_an_absent_one(environment):
    environment({"PORT": "", "CORS_ORIGINS": "", "BETTER_AUTH_SECRET": SECRET})
    assert load_settings().port == 8000


@pytest.mark.parametrize("rate", ["300/minute", "OFF", " 10000/second ", "1/Hour"])
def test_a_rate_may_be_in_capitals(environment, rate):
    environment({"RATE_LIMIT": rate, "BETTER_AUTH_SECRET": SECRET})
    assert load_settings().rate_limit == rate.strip().lower()


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("rediss://user:pass@cache:6380", "rediss://user:pass@cache:6380"),
        ("valkey://cache", "redis://cache"),
        ("valkeys://:pass@cache/1", "rediss://:pass@cache/1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_valkey_is_spoken_to_as_redis(environment, given, used):
    environment({"RATE_LIMIT_REDIS_URL": given, "BETTER_AUTH_SECRET": SECRET})
    assert load_settings().rate_limit_redis_url == used


def test_unknown_variables_are_none_of_our_business(environment):
    environment({"PORTAL": "x", "BETTER_AUTH_SECRET": SECRET})
    load_settings()


BAD = [
    ({"PORT": "abc"}, "PORT"),
    ({"PORT": "70000"}, "PORT"),
    ({"WORKERS": "0"}, "WORKERS"),
    ({"ENVIRONMENT": "staging"}, "ENVIRONMENT"),
    ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
    ({"HEALTH_TIMEOUT": "-1"}, "HEALTH_TIMEOUT"),
    ({"HEALTH_TIMEOUT": "nan"}, "HEALTH_TIMEOUT"),
    ({"DATABASE_TIMEOUT": "soon"}, "DATABASE_TIMEOUT"),
    ({"DATABASE_POOL_SIZE": "0"}, "DATABASE_POOL_SIZE"),
    ({"TRASH_RETENTION_DAYS": "0"}, "TRASH_RETENTION_DAYS"),
    ({"TRASH_RETENTION_DAYS": "3651"}, "TRASH_RETENTION_DAYS"),
    ({"BETTER_AUTH_SECRET": "canary"}, "BETTER_AUTH_SECRET"),
    ({"BETTER_AUTH_SECRET": "x" * 31}, "BETTER_AUTH_SECRET"),
    ({"CORS_ORIGINS": "localhost:3000"}, "CORS_ORIGINS"),
    ({"CORS_ORIGINS": "https://a.example/"}, "CORS_ORIGINS"),
    ({"CORS_ORIGINS": "https://a.example, ftp://b.example"}, "CORS_ORIGINS"),
    ({"CORS_ORIGINS": "https://"}, "CORS_ORIGINS"),
    ({"CORS_ORIGINS": "https://*.example.com"}, "CORS_ORIGINS"),
    ({"CORS_ORIGINS": "https://App.example.com"}, "CORS_ORIGINS"),
    ({"CORS_ORIGINS": "https://app.example.com:443"}, "CORS_ORIGINS"),
    ({"CORS_ORIGINS": "http://app.example.com:80"}, "CORS_ORIGINS"),
    ({"CORS_ORIGINS": "https://user@app.example.com"}, "CORS_ORIGINS"),
    ({"CORS_ORIGINS": "http://localhost:abc"}, "CORS_ORIGINS"),
    ({"CORS_ORIGINS": "https://a b"}, "CORS_ORIGINS"),
    ({"RATE_LIMIT": "300"}, "RATE_LIMIT"),
    ({"RATE_LIMIT": "0/minute"}, "RATE_LIMIT"),
    ({"RATE_LIMIT": "300/day"}, "RATE_LIMIT"),
    ({"RATE_LIMIT": "10001/second"}, "RATE_LIMIT"),
    ({"RATE_LIMIT_ADDRESS": "-5/minute"}, "RATE_LIMIT_ADDRESS"),
    ({"RATE_LIMIT_BURST": "9"}, "RATE_LIMIT_BURST"),
    ({"RATE_LIMIT_REDIS_URL": "localhost:6379"}, "RATE_LIMIT_REDIS_URL"),
    ({"RATE_LIMIT_REDIS_URL": "http://user:canary@host"}, "RATE_LIMIT_REDIS_URL"),
    ({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES"),
    ({"TRUSTED_PROXIES": "10.0.0.1"}, "TRUSTED_PROXIES"),
    ({"PORT": "abc", "WORKERS": "many"}, "PORT"),
    ({"BETTER_AUTH_URL": "app.example.com"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "ftp://app.example.com"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://user:canary@app.example.com"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://app.example.com/?a=b"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://app.example.com/#a"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://app.example.com:99999"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://app.example.com:0"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://app example.com"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://[::1"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://[0:0:0:0:0:0:0:1]"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "http://127.1:3000"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://bücher.example"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://exa%6dple.com"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://app.example.com\\x"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://app.example.com?"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://a.example,https://b.example"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://a..example"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": f"https://{'x' * 64}.example"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://*.example.com"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://app.example.com/api/auth/jwks"}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_URL": "https://a.example", "BETTER_AUTH_AUDIENCE": " , ,"}, "BETTER_AUTH_AUDIENCE"),
    ({"BETTER_AUTH_URL": "https://a.example", "BETTER_AUTH_JWKS_URL": "web:3000"}, "BETTER_AUTH_JWKS_URL"),
    ({"BETTER_AUTH_JWKS_URL": "http://web:3000/api/auth/jwks"}, "BETTER_AUTH_JWKS_URL"),
    ({"BETTER_AUTH_ISSUER": "https://a.example"}, "BETTER_AUTH_ISSUER"),
    ({"BETTER_AUTH_AUDIENCE": "tasks-api"}, "BETTER_AUTH_AUDIENCE"),
    ({"BETTER_AUTH_DATABASE_URL": "same"}, "BETTER_AUTH_SECRET"),
]

#: What Better Auth makes of its baseURL: the origin of its tokens, and where it publishes its keys.
URLS = [
    ("https://app.example.com", "https://app.example.com", "https://app.example.com/api/auth/jwks"),
    ("https://app.example.com/", "https://app.example.com", "https://app.example.com/api/auth/jwks"),
    ("https://app.example.com/api/auth", "https://app.example.com", "https://app.example.com/api/auth/jwks"),
    ("https://app.example.com/app/", "https://app.example.com", "https://app.example.com/app/jwks"),
    ("HTTPS://App.Example.com:443", "https://app.example.com", "https://app.example.com/api/auth/jwks"),
    ("http://localhost:3000", "http://localhost:3000", "http://localhost:3000/api/auth/jwks"),
    ("http://[::1]:80", "http://[::1]", "http://[::1]/api/auth/jwks"),
    (
        "https://xn--bcher-kva.example",
        "https://xn--bcher-kva.example",
        "https://xn--bcher-kva.example/api/auth/jwks",
    ),
]


@pytest.mark.parametrize(("url", "origin", "keys"), URLS)
def test_issuer_audience_and_keys_follow_from_the_url_as_in_better_auth(environment, url, origin, keys):
    environment({"BETTER_AUTH_URL": url, "BETTER_AUTH_SECRET": SECRET})
    settings = load_settings()
    assert (settings.issuer, settings.audiences, settings.jwks_url) == (origin, frozenset({origin}), keys)


def test_issuer_audience_and_keys_may_be_others(environment):
    environment(
        {
            "BETTER_AUTH_URL": "https://app.example.com",
            "BETTER_AUTH_JWKS_URL": "http://web:3000/api/auth/jwks",
            "BETTER_AUTH_ISSUER": " https://app.example.com/ ",
            "BETTER_AUTH_AUDIENCE": "tasks-api, web",
            "BETTER_AUTH_SECRET": SECRET,
        }
    )
    settings = load_settings()
    assert settings.jwks_url == "http://web:3000/api/auth/jwks"
    assert (settings.issuer, settings.audiences) == (
        "https://app.example.com/",
        frozenset({"tasks-api", "web"}),
    )


def test_without_a_url_there_are_no_keys(environment):
    environment({"BETTER_AUTH_SECRET": SECRET})
    assert load_settings().jwks_url == ""


def test_production_needs_the_url_or_the_secret_and_makes_up_neither(environment, tmp_path):
    environment(PRODUCTION | {"BETTER_AUTH_SECRET": "", "BETTER_AUTH_URL": "https://app.example.com"})
    settings = load_settings(data_dir=tmp_path / "data")
    assert settings.better_auth_secret == ""
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("scheme", ["http", "HTTP", "Http"])
def test_production_takes_keys_over_http_from_an_address_of_its_own_network_only(environment, scheme):
    environment(PRODUCTION | {"BETTER_AUTH_URL": f"{scheme}://app.example.com"})
    with pytest.raises(ConfigurationError, match=r"^BETTER_AUTH_URL: .*BETTER_AUTH_JWKS_URL"):
        load_settings()
    environment({"BETTER_AUTH_JWKS_URL": "http://web:3000/api/auth/jwks"})
    assert load_settings().jwks_url == "http://web:3000/api/auth/jwks"


@pytest.mark.parametrize(("variables", "name"), BAD)
def test_a_bad_value_is_one_line_that_names_the_variable(environment, variables, name):
    environment(variables)
    with pytest.raises(ConfigurationError) as refusal:
        load_settings()
    assert str(refusal.value).startswith(f"{name}: ")
    assert "\n" not in str(refusal.value)
    assert "canary" not in str(refusal.value)


UNFIT = [
    ({"DATABASE_URL": ""}, "DATABASE_URL"),
    ({"BETTER_AUTH_SECRET": ""}, "BETTER_AUTH_URL"),
    ({"BETTER_AUTH_SECRET": "x" * 31}, "BETTER_AUTH_SECRET"),
    ({"BETTER_AUTH_SECRET": EXAMPLE_SECRET}, "BETTER_AUTH_SECRET"),
    ({"METRICS_TOKEN": "x" * 15}, "METRICS_TOKEN"),
    ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
    ({"CORS_ORIGINS": "https://a.example, *"}, "CORS_ORIGINS"),
]


@pytest.mark.parametrize(("change", "name"), UNFIT)
def test_production_refuses_what_is_fit_for_development_only(environment, change, name):
    environment(PRODUCTION | change)
    with pytest.raises(ConfigurationError) as refusal:
        load_settings()
    assert str(refusal.value).startswith(f"{name}: ")


def test_development_takes_the_example_a_short_token_and_a_star(environment):
    environment({"BETTER_AUTH_SECRET": EXAMPLE_SECRET, "METRICS_TOKEN": "x", "CORS_ORIGINS": "*"})
    assert load_settings().cors_origin_list == ["*"]


def test_production_takes_a_token_that_nobody_guesses(environment):
    environment(PRODUCTION | {"METRICS_TOKEN": "x" * 16})
    assert load_settings().metrics_on


def test_secrets_stay_out_of_repr(environment):
    environment(
        PRODUCTION
        | {"BETTER_AUTH_DATABASE_URL": "postgresql://u:password@h/auth"}
        | {"RATE_LIMIT_REDIS_URL": "redis://:password@h"}
    )
    shown = repr(load_settings()) + str(load_settings())
    assert SECRET not in shown
    assert "password" not in shown


def test_settings_are_frozen(environment):
    environment(PRODUCTION)
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1  # type: ignore[misc]


def test_the_development_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    folder = tmp_path / "data"
    secret = load_settings(data_dir=folder).better_auth_secret
    assert len(secret) >= 32
    assert load_settings(data_dir=folder).better_auth_secret == secret
    assert load_settings(data_dir=tmp_path / "other").better_auth_secret != secret
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    assert sorted(os.listdir(folder)) == [".gitignore", "secret"]  # noqa: PTH208 - names are enough


def test_a_damaged_development_secret_is_named(tmp_path):
    (tmp_path / "secret").write_text("abc")
    with pytest.raises(ConfigurationError, match=r"^DATA_DIR: .*/secret is damaged"):
        load_settings(data_dir=tmp_path)


def test_a_relative_folder_is_below_the_checkout():
    assert (
        load_settings(data_dir=Path("other"), better_auth_secret=SECRET).data_dir == BACKEND.parent / "other"
    )


def test_a_set_secret_makes_no_other(tmp_path):
    load_settings(data_dir=tmp_path / "data", better_auth_secret=SECRET)
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_is_a_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"^DATA_DIR: .*BETTER_AUTH_SECRET"):
        load_settings(data_dir=tmp_path / "file")


def test_get_settings_reads_once(environment):
    environment(PRODUCTION)
    get_settings.cache_clear()
    try:
        assert get_settings() is get_settings()
    finally:
        get_settings.cache_clear()


def test_a_dot_env_file_is_read_and_the_environment_wins(environment, tmp_path: Path):
    file = tmp_path / ".env"
    file.write_text(f"PORT=1111\nHOST=::1\nBETTER_AUTH_SECRET={SECRET}\n")
    environment({"PORT": "2222"})
    settings = load_settings(_env_file=file)
    assert (settings.port, settings.host) == (2222, "::1")
