//! Which keys and values the parts of a 2.0 card may have.

pub(super) const ROOT: &[&str] = &["schema", "config", "card_link", "header", "body"];
pub(super) const CARD_LINK: &[&str] = &["url", "pc_url", "ios_url", "android_url"];
pub(super) const CONFIG: &[&str] = &[
    "update_multi",
    "streaming_mode",
    "streaming_config",
    "summary",
    "locales",
    "width_mode",
    "enable_forward",
    "enable_forward_interaction",
    "use_custom_translation",
    "style",
];
pub(super) const STREAMING_CONFIG: &[&str] = &["print_frequency_ms", "print_step", "print_strategy"];
pub(super) const SUMMARY: &[&str] = &["content", "i18n_content"];
pub(super) const WIDTH_MODES: &[&str] = &["default", "compact", "fill"];
pub(super) const HEADER: &[&str] =
    &["title", "subtitle", "text_tag_list", "i18n_text_tag_list", "template", "icon", "padding"];
pub(super) const TEMPLATES: &[&str] = &[
    "blue",
    "wathet",
    "turquoise",
    "green",
    "yellow",
    "orange",
    "red",
    "carmine",
    "violet",
    "purple",
    "indigo",
    "grey",
    "default",
];
pub(super) const TAG_COLOURS: &[&str] = &[
    "neutral",
    "blue",
    "turquoise",
    "lime",
    "orange",
    "violet",
    "indigo",
    "wathet",
    "green",
    "yellow",
    "red",
    "purple",
    "carmine",
];
pub(super) const TEXT_TAG: &[&str] = &["tag", "element_id", "text", "color"];
pub(super) const ICON: &[&str] = &["tag", "token", "color", "img_key", "size"];
pub(super) const BODY: &[&str] = &[
    "direction",
    "padding",
    "horizontal_spacing",
    "horizontal_align",
    "vertical_spacing",
    "vertical_align",
    "elements",
];
pub(super) const TEXT: &[&str] =
    &["tag", "element_id", "content", "i18n_content", "text_size", "text_color", "text_align", "lines"];
pub(super) const PANEL_TITLE: &[&str] = &["tag", "content", "i18n_content", "text_size", "text_color", "text_align"];
pub(super) const PANEL_HEADER: &[&str] = &[
    "title",
    "icon",
    "icon_position",
    "icon_expanded_angle",
    "background_color",
    "vertical_align",
    "padding",
    "width",
    "position",
];
pub(super) const FLEX_MODES: &[&str] = &["none", "stretch", "flow", "bisect", "trisect"];
pub(super) const BUTTON_TYPES: &[&str] = &[
    "default",
    "primary",
    "danger",
    "text",
    "primary_text",
    "danger_text",
    "primary_filled",
    "danger_filled",
    "laser",
];
pub(super) const BUTTON_SIZES: &[&str] = &["tiny", "small", "medium", "large"];
pub(super) const CALLBACK: &[&str] = &["type", "value"];
pub(super) const OPEN_URL: &[&str] = &["type", "default_url", "pc_url", "ios_url", "android_url"];
pub(super) const OPTION: &[&str] = &["text", "value", "icon"];
pub(super) const CONFIRM: &[&str] = &["title", "text"];

/// Keys that every component may have.
pub(super) const COMMON: &[&str] = &["tag", "element_id", "margin"];

pub(super) const COLUMN: &[&str] = &[
    "width",
    "weight",
    "direction",
    "padding",
    "horizontal_spacing",
    "horizontal_align",
    "vertical_spacing",
    "vertical_align",
    "background_style",
    "action",
    "elements",
];

const INTERACTIVE: &[&str] = &[
    "behaviors",
    "elements",
    "width",
    "height",
    "direction",
    "padding",
    "horizontal_spacing",
    "horizontal_align",
    "vertical_spacing",
    "vertical_align",
    "background_style",
    "has_border",
    "border_color",
    "corner_radius",
    "disabled",
    "disabled_tips",
    "hover_tips",
    "confirm",
    "name",
];
const PANEL: &[&str] = &[
    "expanded",
    "header",
    "border",
    "direction",
    "padding",
    "horizontal_spacing",
    "horizontal_align",
    "vertical_spacing",
    "vertical_align",
    "background_color",
    "elements",
];
const FORM: &[&str] = &[
    "name",
    "elements",
    "direction",
    "padding",
    "horizontal_spacing",
    "horizontal_align",
    "vertical_spacing",
    "vertical_align",
    "confirm",
];
const BUTTON: &[&str] = &[
    "text",
    "type",
    "size",
    "width",
    "icon",
    "disabled",
    "disabled_tips",
    "hover_tips",
    "confirm",
    "behaviors",
    "name",
    "required",
    "form_action_type",
];
const INPUT: &[&str] = &[
    "name",
    "placeholder",
    "default_value",
    "label",
    "label_position",
    "required",
    "width",
    "max_length",
    "input_type",
    "rows",
    "auto_resize",
    "max_rows",
    "show_icon",
    "disabled",
    "behaviors",
    "confirm",
];
const SELECT: &[&str] = &[
    "name",
    "options",
    "placeholder",
    "initial_option",
    "initial_index",
    "selected_values",
    "required",
    "disabled",
    "width",
    "type",
    "behaviors",
    "confirm",
];
const PICKER: &[&str] = &[
    "name",
    "placeholder",
    "initial_date",
    "initial_time",
    "initial_datetime",
    "required",
    "disabled",
    "width",
    "behaviors",
    "confirm",
];
const CHECKER: &[&str] = &[
    "name",
    "text",
    "checked",
    "overall_checkable",
    "button_area",
    "checked_style",
    "padding",
    "disabled",
    "disabled_tips",
    "hover_tips",
    "behaviors",
    "confirm",
];
const SELECT_IMG: &[&str] = &[
    "name",
    "options",
    "multi_select",
    "layout",
    "style",
    "can_preview",
    "aspect_ratio",
    "required",
    "disabled",
    "disabled_tips",
    "hover_tips",
    "behaviors",
    "confirm",
];

/// Keys of a component beside the common ones; `None` for a tag that 2.0 does not know.
pub(super) fn of_component(tag: &str) -> Option<&'static [&'static str]> {
    Some(match tag {
        "markdown" => &["content", "text_align", "text_size", "icon"],
        "div" => &["text", "width", "icon"],
        "hr" => &[],
        "img" => &["img_key", "alt", "title", "preview", "scale_type", "size", "corner_radius", "transparent"],
        "column_set" => {
            &["columns", "flex_mode", "background_style", "horizontal_spacing", "horizontal_align", "action"]
        }
        "button" => BUTTON,
        "interactive_container" => INTERACTIVE,
        "collapsible_panel" => PANEL,
        "form" => FORM,
        "input" => INPUT,
        "select_static" | "multi_select_static" | "select_person" | "multi_select_person" => SELECT,
        "date_picker" | "picker_time" | "picker_datetime" => PICKER,
        "checker" => CHECKER,
        "overflow" => &["options", "width", "behaviors", "confirm"],
        "select_img" => SELECT_IMG,
        "person" => &["user_id", "size", "show_avatar", "show_name", "style"],
        "person_list" => &["persons", "size", "lines", "show_avatar", "show_name", "drop_invalid_user_id", "icon"],
        "img_combination" => &["combination_mode", "img_list", "corner_radius", "combination_transparent"],
        "audio" => &["file_key", "audio_id", "show_time", "fill_color", "style", "width"],
        "table" => {
            &["page_size", "row_height", "row_max_height", "header_style", "columns", "rows", "freeze_first_column"]
        }
        "chart" => &["chart_spec", "aspect_ratio", "color_theme", "height", "preview"],
        _ => return None,
    })
}

/// Whether the component is a field of a form.
pub(super) fn is_input(tag: &str) -> bool {
    matches!(
        tag,
        "input"
            | "select_static"
            | "multi_select_static"
            | "select_person"
            | "multi_select_person"
            | "date_picker"
            | "picker_time"
            | "picker_datetime"
            | "checker"
            | "select_img"
            | "button"
    )
}
