#!/usr/bin/env bash
# Compiles and tests the app as far as that is possible without an Android SDK:
#   core    on the JVM, with its tests on the golden files
#   runtime the bundles in the assets through core into TensorFlow Lite for the JVM
#   app     every Kotlin file against the framework classes of API 26 and of API 35
# All compilers and libraries come by Maven from Maven Central; the first run fetches 360 MB. aapt2, which
# makes the constants of the resources, is Debian's.
# Without a JDK, Maven or what it fetches, it says in one line what is skipped, and succeeds.
# Pictures of the app are written to $screenshots, by default build/screenshots.
set -euo pipefail
screenshots=$(realpath -m "${screenshots:-$(dirname "$0")/build/screenshots}")
cd "$(dirname "$0")"

skip() {
    echo "mobile/check.sh: skipped $1"
    exit 0
}

lowest=8.0.0_r4-robolectric-r1 # API 26, minSdk
newest=15-robolectric-13954326 # API 35, the newest that runs on Java 17

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
source check/tools.sh

reason=$(missing_java)
[ -z "$reason" ] || skip "everything: $reason"
for level in "$lowest" "$newest"; do
    resolve "$level" pom.xml "-Dframework=$level" || skip "everything: Maven could not fetch what check/pom.xml names"
done

compiler=$(jars "$newest" 'kotlin-.*|kotlinx-.*|annotations')
stdlib=$(jars "$newest" 'kotlin-stdlib|annotations')
junit=$(jars "$newest" 'junit|hamcrest-core')
runtime=$(jars "$newest" 'tensorflow-lite-2.19.0|javacpp')
tflite=$(aars "$newest")

run_tests() { # directory of the tests, class path
    local names
    names=$(cd "$1" && find . -name '*Test.kt' | sed 's#^\./##; s#\.kt$##; s#/#.#g' | sort)
    # shellcheck disable=SC2086 # one word a class
    java -Dgolden=golden -Dassets=app/src/main/assets -cp "$2" org.junit.runner.JUnitCore $names >"$out/tests" 2>&1 ||
        { cat "$out/tests"; exit 1; }
    grep -oE '^OK.*|a digit is found in .*' "$out/tests" | sed "s#^#$1: #"
}

echo "core: compiling"
kotlin 8 "$out/core" "$stdlib" core/src/main/kotlin
kotlin 17 "$out/core-test" "$out/core:$stdlib:$junit" -Xfriend-paths="$out/core" core/src/test/kotlin
run_tests core/src/test/kotlin "$out/core-test:$out/core:$stdlib:$junit"

if [ "$(uname -sm)" = 'Linux x86_64' ]; then
    echo "runtime: compiling"
    kotlin 17 "$out/runtime" "$out/core-test:$out/core:$stdlib:$junit:$runtime" \
        -Xfriend-paths="$out/core" check/runtime
    run_tests check/runtime "$out/runtime:$out/core-test:$out/core:$stdlib:$junit:$runtime"
else
    echo "runtime: skipped, it has a TensorFlow Lite for Linux on x86_64 alone"
fi

debian unzip aapt2 || skip "app: no unzip or no aapt2 (apt-get install unzip aapt)"
resolve apk apk.pom.xml || skip "app: Maven could not fetch what check/apk.pom.xml names"
link "$(jars apk android-all)"
for level in "$lowest" "$newest"; do
    echo "app: compiling against android-all $level"
    kotlin 8 "$out/app-$level" "$(jars "$level" android-all):$out/R:$out/core:$stdlib:$tflite" app/src/main/kotlin
done
if [ ! -d "$out/runtime" ]; then
    echo "activities: skipped, they need the runtime"
elif ! { resolve robolectric-26 robolectric.pom.xml "-Dframework=$lowest-i7" &&
    resolve robolectric-35 robolectric.pom.xml "-Dframework=$newest-i7"; }; then
    echo "activities: skipped, Maven could not fetch what check/robolectric.pom.xml names"
else
    echo "activities: compiling"
    robolectric=$(grep -v -e '/android-all' -e '\.aar$' "$out/robolectric-35" | paste -sd:):$(aars robolectric-35)
    mkdir -p "$out/frameworks" "$out/config/com/android/tools"
    for level in 26 35; do
        cp -s "$(jars robolectric-$level android-all-instrumented)" "$out/frameworks"
    done
    cat >"$out/config/com/android/tools/test_config.properties" <<END
android_custom_package=org.distill.camera
android_merged_assets=$PWD/app/src/main/assets
android_merged_manifest=$out/AndroidManifest.xml
android_resource_apk=$out/linked.apk
END
    app=$out/R:$out/core:$out/runtime:$stdlib:$runtime:$junit
    classes=$out/app-$newest:$app:$robolectric:$(jars "$newest" android-all)
    kotlin 17 "$out/activities" "$classes" check/activities
    names=$(cd check/activities && find . -name '*Test.kt' | sed 's#^\./##; s#\.kt$##; s#/#.#g' | sort)
    mkdir -p "$screenshots"
    for level in 26 35; do # pictures of the latter stay
        mkdir "$out/config/$level"
        printf "sdk=%s\ngraphicsMode=NATIVE\n" "$level" >"$out/config/$level/robolectric.properties"
        # shellcheck disable=SC2086 # one word a class
        timeout 300 java -Xmx1g -Drobolectric.offline=true -Drobolectric.dependency.dir="$out/frameworks" \
            -Dassets=app/src/main/assets -Dscreenshots="$screenshots" \
            -cp "$out/config:$out/config/$level:$out/activities:$classes" \
            org.junit.runner.JUnitCore $names >"$out/tests" 2>&1 || { cat "$out/tests"; exit 1; }
        grep -E '^OK' "$out/tests" | sed "s#^#activities, API $level: #"
    done
fi
echo "mobile/check.sh: passed"
