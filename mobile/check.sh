#!/usr/bin/env bash
# Compiles and tests the app as far as that is possible without an Android SDK:
#   core    on the JVM, with its tests on the golden files
#   runtime the bundles in the assets through core into TensorFlow Lite for the JVM
#   app     every Kotlin file against the framework classes of API 26 and of API 35
# All compilers and libraries come by Maven from Maven Central; the first run fetches 360 MB.
# Without a JDK, Maven or what it fetches, it says in one line what is skipped, and succeeds.
set -euo pipefail
cd "$(dirname "$0")"

skip() {
    echo "mobile/check.sh: skipped $1"
    exit 0
}

lowest=8.0.0_r4-robolectric-r1 # API 26, minSdk
newest=15-robolectric-13954326 # API 35, the newest that runs on Java 17

command -v java >/dev/null || skip "everything: no java"
command -v mvn >/dev/null || skip "everything: no mvn"
version=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/ *java.specification.version = //p')
[ "${version%%.*}" -ge 17 ] || skip "everything: JDK 17 or later expected, found $version"

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# Writes the paths of what check/pom.xml names, one a line; first tries what is there already.
resolve() {
    local mvn=(mvn -q -B -f check/pom.xml dependency:build-classpath
        "-Dframework=$1" "-Dmdep.outputFile=$out/$1")
    "${mvn[@]}" -o >/dev/null 2>&1 || "${mvn[@]}" >"$out/log" 2>&1 || return 1
    tr ':' '\n' <"$out/$1" >"$out/$1.list"
}
if ! { resolve "$newest" && resolve "$lowest"; }; then
    skip "everything: Maven could not fetch what check/pom.xml names"
fi

jars() { grep -E "/($1)-[^/]*$" "$out/$newest.list" | paste -sd:; }
framework() { grep '/android-all-' "$out/$1.list"; }
compiler=$(jars 'kotlin-.*|kotlinx-.*|annotations')
stdlib=$(jars 'kotlin-stdlib|annotations')
junit=$(jars 'junit|hamcrest-core')
runtime=$(jars 'tensorflow-lite-2.19.0|javacpp')
tflite=
for aar in $(grep '\.aar$' "$out/$newest.list"); do
    classes=$out/$(basename "$aar" .aar).jar
    unzip -p "$aar" classes.jar >"$classes"
    tflite=$tflite:$classes
done

# Of Java, API 26 has what is in version 8, and the framework jars have nothing.
java_8="-jvm-target 1.8 -Xjdk-release=8"
java_17="-jvm-target 17"

kotlin() { # version of Java, directory of the classes, class path, further arguments
    local java="java_$1" target=$2 classpath=$3
    shift 3
    # shellcheck disable=SC2086 # two words
    java -Xmx1g -cp "$compiler" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-stdlib -no-reflect \
        -Werror ${!java} -cp "$classpath" -d "$target" "$@"
}

run_tests() { # directory of the tests, class path
    local names
    names=$(cd "$1" && find . -name '*Test.kt' | sed 's#^\./##; s#\.kt$##; s#/#.#g' | sort)
    # shellcheck disable=SC2086 # one word a class
    java -Dgolden=golden -Dassets=app/src/main/assets -cp "$2" org.junit.runner.JUnitCore $names >"$out/tests" 2>&1 ||
        { cat "$out/tests"; exit 1; }
    grep -E '^OK' "$out/tests" | sed "s#^#$1: #"
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

# What aapt2 would write: a constant for each resource, so that a name that is none does not compile.
resources() {
    local res=app/src/main/res type number=0
    echo "package org.distill.camera"
    echo "object R {"
    for type in string id layout drawable mipmap color style; do
        echo "object $type {"
        {
            sed -nE "s#.*<$type name=\"([A-Za-z0-9_.]+)\".*#\1#p" $res/values/*.xml
            [ $type != id ] || grep -rhoE '@\+id/[a-z0-9_]+' $res | sed 's#.*/##'
            find $res -path "*/$type*/*.xml" -printf '%f\n' | sed 's#\.xml$##'
        } | sort -u | while read -r name; do
            number=$((number + 1))
            echo "const val ${name//./_} = $number"
        done
        echo "}"
    done
    echo "}"
}
resources >"$out/R.kt"

for level in "$lowest" "$newest"; do
    echo "app: compiling against $(basename "$(framework "$level")")"
    kotlin 8 "$out/app-$level" "$(framework "$level"):$out/core:$stdlib$tflite" \
        app/src/main/kotlin "$out/R.kt"
done
echo "mobile/check.sh: passed"
