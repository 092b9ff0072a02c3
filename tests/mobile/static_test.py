"""What can be said of the app without building it: permissions, resources, versions, bundles."""

import hashlib
import json
import pathlib
import re
import tomllib
import xml.etree.ElementTree as ET

import pytest

import experiments

MOBILE = pathlib.Path(experiments.__file__).parents[1] / "mobile"
MAIN = MOBILE / "app/src/main"
RES = MAIN / "res"
ASSETS = MAIN / "assets"
KOTLIN = sorted((MAIN / "kotlin").rglob("*.kt"))
XML = sorted(RES.rglob("*.xml"))
ANDROID = "{http://schemas.android.com/apk/res/android}"
TOOLS = "{http://schemas.android.com/tools}"
BUNDLES = sorted(path.parent for path in ASSETS.glob("*/model.json"))


@pytest.fixture(scope="module")
def manifest():
    return ET.parse(MAIN / "AndroidManifest.xml").getroot()


def declared():
    """Returns the resources there are, as `type/name`."""
    found = set()
    for path in XML:
        kind = path.parent.name.partition("-")[0]
        if kind == "values":
            found |= {
                f"{element.tag}/{element.get('name')}" for element in ET.parse(path).getroot()
            }
        else:
            found.add(f"{kind}/{path.stem}")
            found |= {f"id/{name}" for name in re.findall(r'"@\+id/(\w+)"', path.read_text())}
    return found


def used_in_kotlin():
    return {
        f"{kind}/{name}"
        for path in KOTLIN
        for kind, name in re.findall(r"(?<!android\.)\bR\.(\w+)\.(\w+)", path.read_text())
    }


def used_in_xml():
    text = "".join(path.read_text() for path in [*XML, MAIN / "AndroidManifest.xml"])
    used = set(re.findall(r'[">]@(?!\+|android:)([a-z]+/[\w.]+)["<]', text))
    return used | {f"style/{name}" for name in re.findall(r'parent="([A-Z]\w*)"', text)}


def test_the_camera_is_the_only_permission(manifest):
    permissions = {
        element.get(f"{ANDROID}name"): element.get(f"{TOOLS}node")
        for element in manifest.iter()
        if element.tag.startswith("uses-permission")
    }
    assert permissions == {
        "android.permission.CAMERA": None,
        "android.permission.INTERNET": "remove",
    }


def test_no_network_in_the_code():
    for path in KOTLIN:
        assert not re.search(r"java\.net\b|android\.net\.(?!Uri)|android\.webkit", path.read_text())


def test_a_device_without_a_camera_can_install_the_app(manifest):
    features = {
        element.get(f"{ANDROID}name"): element.get(f"{ANDROID}required")
        for element in manifest.iter("uses-feature")
    }
    # Stores take the first two to be required by the permission, unless they are said not to be.
    names = ("camera", "camera.autofocus", "camera.any")
    assert features == {f"android.hardware.{name}": "false" for name in names}


def test_every_activity_exists_and_only_the_first_is_open_to_others(manifest):
    exported = {
        element.get(f"{ANDROID}name"): element.get(f"{ANDROID}exported")
        for element in manifest.iter("activity")
    }
    assert exported == {".CameraActivity": "true", ".SettingsActivity": "false"}
    assert {name.strip(".") for name in exported} <= {path.stem for path in KOTLIN}
    launcher = "android.intent.category.LAUNCHER"
    assert [e.get(f"{ANDROID}name") for e in manifest.iter("category")] == [launcher]


def test_every_resource_that_is_used_exists():
    assert used_in_kotlin() | used_in_xml() <= declared()
    assert len(used_in_kotlin()) > 30 and len(used_in_xml()) > 20  # the patterns above match


def test_every_resource_is_used():
    assert declared() - used_in_kotlin() - used_in_xml() == set()


def test_every_view_of_the_code_is_in_its_layout():
    for name, layout in (
        ("Camera", "activity_camera"),
        ("Settings", "activity_settings"),
    ):
        sources = [path for path in KOTLIN if re.fullmatch(f"{name}(Activity|Screen)", path.stem)]
        text = "".join(path.read_text() for path in sources)
        ids = set(re.findall(r"R\.id\.(\w+)", text))
        there = set(re.findall(r'"@\+id/(\w+)"', (RES / "layout" / f"{layout}.xml").read_text()))
        assert ids == there


def strings(directory, translatable=None):
    return {
        element.get("name"): element.text
        for element in ET.parse(RES / directory / "strings.xml").getroot()
        if translatable is None or (element.get("translatable") != "false") == translatable
    }


def placeholders(text):
    return re.findall(r"%(\d)\$[\d.]*([dfs])", text)


def test_every_text_is_translated_with_the_same_placeholders():
    english = strings("values", translatable=True)
    for directory in RES.glob("values-*"):
        other = strings(directory.name)
        assert list(other) == list(english)
        for name, text in english.items():
            assert sorted(placeholders(other[name])) == sorted(placeholders(text)), name
            assert ("%%" in other[name]) == ("%%" in text), name
    assert len(list(RES.glob("values-*"))) == 1


def test_strings_are_given_the_values_they_name():
    """A placeholder without a value, or of another type, is an exception while the app runs."""
    formats = {name: placeholders(text) for name, text in strings("values").items()}
    assert formats["score"] == [("1", "f"), ("2", "s")]
    code = "".join(path.read_text() for path in KOTLIN)
    calls = dict(
        re.findall(r"getString\(\s*R\.string\.(\w+)((?:,[^()]*(?:\([^()]*\)[^()]*)?)?)\)", code)
    )
    for name, arguments in calls.items():
        given = [a for a in arguments.split(",") if a.strip()]
        assert len(given) == len(formats[name]), name
    by_slider = {"top_k", "sure_from", "stages", "threads"}
    assert {n for n, f in formats.items() if f} - set(calls) == by_slider
    assert all(formats[name] == [("1", "d")] for name in by_slider)


def test_no_text_is_written_in_the_code_or_the_layouts():
    for path in [*RES.glob("layout/*.xml"), MAIN / "AndroidManifest.xml"]:
        literal = r'android:(text|contentDescription|label|hint|title)="[^@]'
        assert not re.search(literal, path.read_text()), path.name


def test_what_can_be_seen_can_be_heard_and_touched():
    for path in RES.glob("layout/*.xml"):
        for view in ET.parse(path).getroot().iter():
            if view.tag in ("ImageView", "TextureView", "Spinner", "org.distill.camera.DrawView"):
                assert view.get(f"{ANDROID}contentDescription"), view.attrib
            if view.tag in ("Button", "Spinner", "Switch"):
                assert view.get(f"{ANDROID}minHeight") == "48dp", view.attrib
            if view.tag == "SeekBar":
                assert view.get("style") == "@style/Slider"
            labelled = view.get(f"{ANDROID}labelFor")
            assert labelled is None or f'"@+{labelled[1:]}"' in path.read_text()
            size = view.get(f"{ANDROID}textSize", "0sp")
            assert size.endswith("sp"), view.attrib
    assert '<item name="android:minHeight">48dp</item>' in (RES / "values/styles.xml").read_text()


def test_many_labels_scroll_and_leave_the_buttons_their_height():
    """Views are measured in order: one that wraps its content may leave nothing for the next."""
    root = ET.parse(RES / "layout/activity_camera.xml").getroot()
    parents = {child: parent for parent in root.iter() for child in parent}
    views = {view.get(f"{ANDROID}id"): view for view in root.iter()}

    def around(name):
        view = views[f"@+id/{name}"]
        while view is not root:
            view = parents[view]
            yield view

    def height(view):
        return view.get(f"{ANDROID}layout_height"), view.get(f"{ANDROID}layout_weight")

    panel = views["@+id/result_panel"]
    for name in ("scores", "timing", "system"):
        (scroll,) = [view for view in around(name) if view.tag == "ScrollView"]
        assert parents[scroll] is panel and height(panel) == ("0dp", "1")
        assert scroll.get(f"{ANDROID}layout_height") == "match_parent"
    for name in ("model", "settings"):
        row = parents[views[f"@+id/{name}"]]
        assert parents[row] is parents[panel] and height(row) == ("wrap_content", None)


def test_the_core_knows_nothing_of_android():
    for path in (MOBILE / "core").rglob("*.kt"):
        assert not re.search(r"^import (android|org\.tensorflow)", path.read_text(), re.MULTILINE)


def test_one_file_knows_the_runtime_and_one_the_camera():
    runtime = [path.stem for path in KOTLIN if "import org.tensorflow" in path.read_text()]
    assert runtime == ["InterpreterEngine"]
    camera = [path.stem for path in KOTLIN if "import android.hardware.camera2" in path.read_text()]
    assert camera == ["Camera2Source", "Cameras"]


def test_versions_stand_in_the_catalogue_alone():
    catalogue = tomllib.loads((MOBILE / "gradle/libs.versions.toml").read_text())
    named = {
        part["version"]["ref"]
        for kind in ("libraries", "plugins")
        for part in catalogue[kind].values()
    }
    assert named == set(catalogue["versions"])
    scripts = [*MOBILE.glob("*.gradle.kts"), *MOBILE.glob("*/build.gradle.kts")]
    assert len(scripts) == 4
    for path in scripts:
        text = path.read_text()
        assert not re.search(r'"[\w.-]+:[\w.-]+:\d', text), path
        for alias in re.findall(r"libs\.([\w.]+)", text):
            kind, _, name = alias.rpartition("plugins.")
            table = catalogue["plugins" if kind or alias.startswith("plugins.") else "libraries"]
            assert name.replace(".", "-") in table, alias
    build = (MOBILE / "app/build.gradle.kts").read_text()
    assert "minSdk = 26" in build and "targetSdk = 36" in build


def test_the_wrapper_is_gradles_own_and_fetches_what_the_plugin_needs():
    jar = (MOBILE / "gradle/wrapper/gradle-wrapper.jar").read_bytes()
    # As https://gradle.org/release-checksums has it of 9.4.1.
    known = "55243ef57851f12b070ad14f7f5bb8302daceeebc5bce5ece5fa6edb23e1145c"
    assert hashlib.sha256(jar).hexdigest() == known
    properties = (MOBILE / "gradle/wrapper/gradle-wrapper.properties").read_text()
    version = re.search(r"gradle-([\d.]+)-bin\.zip", properties)[1]
    assert tuple(map(int, version.split("."))) >= (9, 6, 0)
    assert (MOBILE / "gradlew").stat().st_mode & 0o111


def test_the_check_compiles_with_the_same_kotlin():
    catalogue = tomllib.loads((MOBILE / "gradle/libs.versions.toml").read_text())["versions"]
    pom = (MOBILE / "check/pom.xml").read_text()
    assert f"<kotlin>{catalogue['kotlin']}</kotlin>" in pom
    assert f"<version>{catalogue['junit']}</version>" in pom


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_bundles_hold_the_model_that_they_describe(bundle):
    description = json.loads((bundle / "model.json").read_text())
    model = (bundle / description["model"]["file"]).read_bytes()
    assert description["model"]["bytes"] == len(model)
    assert description["model"]["sha256"] == hashlib.sha256(model).hexdigest()
    assert {path.name for path in bundle.iterdir()} == {"model.json", description["model"]["file"]}


def test_files_are_short():
    for path in [*MOBILE.rglob("*.kt"), MOBILE / "check.sh"]:
        lines = path.read_text().splitlines()
        assert len(lines) <= 300, path
        assert max(map(len, lines)) <= 120, path
