plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "org.distill.camera"
    compileSdk = 36

    defaultConfig {
        applicationId = "org.distill.camera"
        minSdk = 26
        targetSdk = 36
        versionCode = 1
        versionName = "0.1.0"
        ndk { abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64") }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    androidResources { noCompress += "tflite" }
}

dependencies {
    implementation(project(":core"))
    implementation(libs.litert)
}

// Without a bundle the app starts and says so; better it is noticed here.
val checkBundles by tasks.registering {
    val descriptions = fileTree("src/main/assets") { include("*/model.json") }
    inputs.files(descriptions)
    doLast {
        if (descriptions.isEmpty) {
            throw GradleException(
                "no bundle in app/src/main/assets; export one with " +
                    "python -m distill.export --workdir=RUN and copy RUN/export/float32 there",
            )
        }
    }
}
tasks.named("preBuild") { dependsOn(checkBundles) }
