// Declared here so that all modules compile with the same Kotlin; AGP 9 compiles Kotlin by itself.
plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.kotlin.jvm) apply false
}
