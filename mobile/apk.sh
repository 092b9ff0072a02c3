#!/usr/bin/env bash
# Builds a signed APK, build/distill.apk, without Gradle and the Android SDK, and inspects it.
# Compilers and libraries come from Maven Central, aapt2, zipalign and apksigner from Debian; as root it
# installs the latter. The key is made where there is none, for trials: no store takes what it signs.
# Where a tool is missing and cannot be installed, it says so and exits with 77.
# The runtime inside is TensorFlow Lite 2.16.1, the last on Maven Central; Gradle's build has LiteRT.
set -euo pipefail
cd "$(dirname "$0")"
shopt -s inherit_errexit

fail() {
    echo "mobile/apk.sh: $1" >&2
    exit 1
}

lack() {
    echo "mobile/apk.sh: not built, $1"
    exit 77
}

most_bytes=12000000
abis=(arm64-v8a armeabi-v7a x86_64) # those of app/build.gradle.kts

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
source check/tools.sh

reason=$(missing_java)
[ -z "$reason" ] || lack "it needs a JDK, 17 or later, and Maven: $reason"
debian unzip zip aapt2 zipalign apksigner dexdump ||
    lack "it needs unzip, zip, aapt2, zipalign, apksigner and dexdump: apt-get install unzip zip aapt zipalign apksigner dexdump"
{ resolve check pom.xml && resolve apk apk.pom.xml; } || lack "Maven could not fetch what check/pom.xml and check/apk.pom.xml name"

compiler=$(jars check 'kotlin-.*|kotlinx-.*|annotations')
stdlib=$(jars check 'kotlin-stdlib')
annotations=$(jars check 'annotations')
framework=$(jars apk 'android-all')
tflite=$(aars check)

link "$framework"
kotlin 8 "$out/core" "$stdlib:$annotations" core/src/main/kotlin
kotlin 8 "$out/app" "$framework:$out/R:$out/core:$stdlib:$annotations:$tflite" app/src/main/kotlin

# dx reads neither modules nor the classes of newer versions of Java that a library brings along.
mkdir "$out/stdlib"
unzip -q "$stdlib" 'kotlin/*' -d "$out/stdlib"
java -Xmx1g -cp "$(jars apk dalvik-dx)" com.android.dx.command.Main --dex --min-sdk-version="$(setting minSdk)" \
    --output="$out/classes.dex" "$out/core" "$out/app" "$out/R" "$out/stdlib" ${tflite//:/ }

mkdir "$out/native"
for aar in $(grep '\.aar$' "$out/check"); do
    for abi in "${abis[@]}"; do
        unzip -q -o "$aar" "jni/$abi/*" -d "$out/native" 2>/dev/null || true # the API alone has none
    done
done
mv "$out/native/jni" "$out/lib"
(cd "$out" && zip -q -X linked.apk classes.dex && zip -q -X -r -0 linked.apk lib)

mkdir -p build
key=build/debug.keystore
[ -f $key ] || keytool -genkeypair -keystore $key -storepass android -keypass android -alias debug \
    -dname 'CN=debug' -keyalg RSA -keysize 2048 -validity 10000 >/dev/null 2>&1
apk=build/distill.apk
zipalign -f -p 4 "$out/linked.apk" "$out/aligned.apk"
apksigner sign --ks $key --ks-pass pass:android --out "$out/signed.apk" "$out/aligned.apk"

# What is inside is looked at in the file itself; only then it takes its name.
inspect() { # APK
    local about badging permissions bundle
    about=$(apksigner verify --verbose --print-certs "$1") || fail "the signature is not valid"
    grep -q 'v2 scheme.*: true' <<<"$about" || fail "expected a signature of version 2, found $about"
    zipalign -c -p 4 "$1" >/dev/null || fail "the native libraries are not aligned to pages of 4 KB"
    badging=$(aapt2 dump badging "$1")
    grep -q "^package: name='$(setting applicationId)' versionCode='$(setting versionCode)'" <<<"$badging" ||
        fail "expected the package $(setting applicationId), found $badging"
    permissions=$(sed -nE "s/^uses-permission[^:]*: name='([^']*)'.*/\1/p" <<<"$badging")
    [ "$permissions" = android.permission.CAMERA ] || fail "expected the permission for the camera alone, found $permissions"
    grep -q "^sdkVersion:'26'" <<<"$badging" || fail "expected API 26 as the lowest"
    grep -q "^targetSdkVersion:'36'" <<<"$badging" || fail "expected API 36 as the target"
    [ "$(unzip -Z1 "$1" 'lib/*.so' | cut -d/ -f2 | sort | xargs)" = "$(printf '%s\n' "${abis[@]}" | sort | xargs)" ] ||
        fail "expected one native library for each of ${abis[*]}"
    unzip -q "$1" classes.dex 'assets/*' -d "$out/inside"
    dexdump "$out/inside/classes.dex" >"$out/dump" || fail "classes.dex cannot be read"
    for name in org/distill/camera/CameraActivity org/distill/core/Pipeline org/tensorflow/lite/Interpreter; do
        grep -q "Class descriptor  : 'L$name;'" "$out/dump" || fail "the class $name is missing"
    done
    diff -r app/src/main/assets "$out/inside/assets" || fail "the assets are not those of the app"
    for bundle in "$out"/inside/assets/*/; do
        grep -q "\"sha256\": \"$(sha256sum <"$bundle/model.tflite" | cut -d' ' -f1)\"" "$bundle/model.json" ||
            fail "the model of $(basename "$bundle") has another hash than its description says"
    done
    [ "$(stat -c %s "$1")" -le $most_bytes ] || fail "expected at most $most_bytes bytes, found $(stat -c %s "$1")"
}
inspect "$out/signed.apk"
mv "$out/signed.apk" $apk
echo "mobile/apk.sh: mobile/$apk, $(stat -c %s $apk) bytes, $(grep -c 'Class descriptor' "$out/dump") classes," \
    "TensorFlow Lite 2.16.1 with pages of 4 KB, for ${abis[*]}"
