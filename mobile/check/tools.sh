# What apk.sh and check.sh share; they source it in the directory of the app, with $out for what it writes.
# shellcheck shell=bash disable=SC2154

# Says why Java or Maven is none that can be used, or nothing.
missing_java() {
    command -v java >/dev/null || { echo "no java"; return; }
    command -v mvn >/dev/null || { echo "no mvn"; return; }
    local version
    version=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/ *java.specification.version = //p')
    [ "${version%%.*}" -ge 17 ] || echo "JDK 17 or later expected, found $version"
}

# Installs Debian's packages where a command is missing and that is allowed; fails if one still is.
debian() { # commands, which are named as their packages but for aapt2
    local command missing=()
    for command in "$@"; do
        command -v "$command" >/dev/null || missing+=("${command%2}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$out/apt" 2>&1
}

# Writes the paths of what a file of Maven names to $out/NAME, one a line; tries what is there already.
resolve() { # name, file, further arguments
    local name=$1 mvn=(mvn -q -B -f "check/$2" dependency:build-classpath "-Dmdep.outputFile=$out/paths" "${@:3}")
    "${mvn[@]}" -o >/dev/null 2>&1 || "${mvn[@]}" >"$out/maven" 2>&1 || return 1
    tr ':' '\n' <"$out/paths" >"$out/$name"
}

jars() { # name, pattern of the files' names
    grep -E "/($2)-[^/]*\.jar$" "$out/$1" | paste -sd:
}

# Takes the classes out of Android's archives; prints their paths as a class path.
aars() { # name
    local aar classes=()
    for aar in $(grep '\.aar$' "$out/$1"); do
        classes+=("$out/$(basename "$aar" .aar).jar")
        unzip -p "$aar" classes.jar >"${classes[-1]}"
    done
    (IFS=:; echo "${classes[*]}")
}

# Of Java, API 26 has what is in version 8; and what makes dex files of classes knows no lambdas.
java_8="-jvm-target 1.8 -Xjdk-release=8 -Xlambdas=class -Xsam-conversions=class -Xstring-concat=inline"
# shellcheck disable=SC2034 # by its name
java_17="-jvm-target 17"

kotlin() { # version of Java, directory of the classes, class path, further arguments
    local java="java_$1" target=$2 classpath=$3
    shift 3
    # shellcheck disable=SC2086 # several words
    java -Xmx1g -cp "$compiler" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-stdlib -no-reflect \
        -Werror ${!java} -cp "$classpath" -d "$target" "$@"
}

setting() { # a name in the build file of the app
    sed -nE "s/^ *$1 = \"?([^\"]*)\"?$/\1/p" app/build.gradle.kts
}

# Links resources, manifest and assets as $out/linked.apk, and compiles $out/R, by the framework's table.
link() { # jar of the framework
    local manifest=$out/AndroidManifest.xml source=app/src/main framework=$out/framework
    mkdir -p "$framework" "$out/R" "$out/generated"
    unzip -q -o "$1" resources.arsc AndroidManifest.xml -d "$framework"
    (cd "$framework" && jar --create --no-manifest --no-compress --file "$out/framework.apk" resources.arsc AndroidManifest.xml)
    # Gradle's plugin names the package, and leaves out what the manifest marks to be removed.
    sed -e "s#<manifest #&package=\"$(setting namespace)\" #" -e '/tools:node="remove"/d' \
        "$source/AndroidManifest.xml" >"$manifest"
    aapt2 compile --dir "$source/res" -o "$out/resources.zip"
    aapt2 link -o "$out/linked.apk" -I "$out/framework.apk" --manifest "$manifest" --java "$out/generated" \
        -A "$source/assets" -0 .tflite --min-sdk-version "$(setting minSdk)" \
        --target-sdk-version "$(setting targetSdk)" --version-code "$(setting versionCode)" \
        --version-name "$(setting versionName)" "$out/resources.zip" 2> >(grep -v "Unknown chunk type" >&2)
    find "$out/generated" -name '*.java' -exec javac --release 8 -Xlint:-options -d "$out/R" {} +
}
