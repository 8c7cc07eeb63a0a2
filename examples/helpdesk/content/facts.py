"""The handbook of Larkspur Bikes (a fictional company) and the 80 facts in it.

A section's text holds both versions: [[old|new]] reads "old" in handbook-v1 and "new" in handbook-v2.
A fact belongs to exactly one section. `v2` is None where the answer is the same in both versions.
Each fact has two training questions, one evaluation question, and (39 of them) one question for dev.
`also` and `also_v2` list further accepted spellings; numbers in words and currency forms are added by make_data.py.
`wrong` lists tempting wrong answers of stable facts; of a changed fact the old value is the wrong one.
"""

VALID_FROM = {"v1": "2025-03-01", "v2": "2026-02-01"}


def fact(id, v1, v2, train, eval, dev="", also=(), also_v2=(), wrong=()):
    return {"id": id, "v1": v1, "v2": v2, "train": train, "eval": eval, "dev": dev,
            "also": list(also), "also_v2": list(also_v2), "wrong": list(wrong)}


def section(heading, text, *facts):
    return {"heading": heading, "text": " ".join(text.split()), "facts": list(facts)}


def page(file, title, *sections):
    return {"file": file, "title": title, "sections": list(sections)}


PAGES = [
    page("shipping.md", "Shipping",
        section("Parcels", """
            Helmets, lights and other small items travel as parcels. All parcels are carried by Nordpost, which sends a
            tracking link as soon as the label is scanned. You can redirect a parcel to a pickup shop from that link.
            """,
            fact("f001", "Nordpost", None,
                 ["Which company carries Larkspur parcels?", "Who delivers small parcels for you?"],
                 "What courier brings a helmet I ordered?",
                 "Name the carrier used for parcels of lights and helmets.")),
        section("Shipping costs", """
            Orders above [[59 euros|75 euros]] ship free of charge within the country. Smaller orders pay a flat fee that
            is shown in the basket. Bikes never carry a shipping charge.
            """,
            fact("f002", "59 euros", "75 euros",
                 ["From what order value is shipping free?", "How much must I spend to get free shipping?"],
                 "Orders above which amount ship free of charge?",
                 "What basket total removes the shipping fee?")),
        section("Dispatch", """
            Accessories ordered before 13:30 on a working day leave the warehouse the same day. Later orders are packed on
            the next working day. We do not pack on public holidays.
            """,
            fact("f003", "13:30", None,
                 ["Until what time do I have to order for same-day dispatch?",
                  "What is the cut-off time for same-day shipping of accessories?"],
                 "When is the latest I can buy a bell so that it is sent out today?",
                 also=["1:30 pm", "1:30 p.m.", "half past one"])),
        section("Bikes by freight", """
            Complete bikes travel by freight lorry and not with the parcel service. A bike reaches you within
            [[6 working days|9 working days]] of leaving our warehouse. The haulier rings you the day before to agree on a
            time.
            """,
            fact("f004", "6 working days", "9 working days",
                 ["How long does delivery of a complete bike take?", "How many working days until my new bike arrives?"],
                 "Within how many working days does a bike sent by freight reach the customer?"))),

    page("returns.md", "Returns",
        section("Return window", """
            You may send back any unused item without giving a reason. The return window is [[30 days|45 days]], counted
            from the day the goods arrive. Made-to-order wheels are excluded.
            """,
            fact("f005", "30 days", "45 days",
                 ["How long can I return an item?", "What is the return period at Larkspur?"],
                 "Counted from arrival of the goods, how long is the return window?",
                 "If I change my mind, how much time do I have to send something back?")),
        section("Return paperwork", """
            Every parcel that comes back needs its paperwork so that we can match it. Please fill in Form R7 and lay it on
            top of the goods. The form can be printed from the order page.
            """,
            fact("f006", "Form R7", None,
                 ["Which form do I fill in for a return?", "What paper has to go in the box with returned goods?"],
                 "What is the name of the document to complete when sending things back?",
                 also=["R7"])),
        section("Collecting a bike", """
            A bike is too bulky for the post, so a driver fetches it at your door. Collecting a bike costs
            [[39 euros|46 euros]], which we deduct from the money you get back. Keep the original carton for the trip.
            """,
            fact("f007", "39 euros", "46 euros",
                 ["What does it cost to have a bike picked up for return?", "How much is the pickup fee for a returned bike?"],
                 "What sum do you deduct for collecting a bike at the door?")),
        section("Condition of the bike", """
            A short test ride is fine before you decide. A returned bike may have been ridden no more than 20 kilometres
            according to its display or the look of its tyres. Clean it before you hand it over.
            """,
            fact("f008", "20 kilometres", None,
                 ["How far may a bike be ridden before it is returned?",
                  "What is the maximum test distance for a bike I want to give back?"],
                 "How many kilometres may a returned bike have been ridden?",
                 "Up to what mileage will you still take a bike back?",
                 also=["20 km", "20 kilometers"]))),

    page("refunds.md", "Refunds",
        section("Time to refund", """
            We inspect returned goods on the day they reach us. The money is on its way to you within
            [[7 working days|5 working days]] after that inspection. Your bank may need a little longer to show it.
            """,
            fact("f009", "7 working days", "5 working days",
                 ["How long does a refund take?", "When do I get my money after a return?"],
                 "Once the parcel was checked, how soon do you pay me back?",
                 "Time until the money is sent after you inspect returned goods?")),
        section("Where the money goes", """
            Refunds always go back to the original payment method. We cannot send them to another person's account. If your
            card has expired, the bank forwards the sum to you.
            """,
            fact("f010", "original payment method", None,
                 ["Where is my refund paid to?", "Can I choose which account a refund goes to, or where does it go?"],
                 "To what do refunds always go back?",
                 also=["original method of payment", "original payment"])),
        section("Missing packaging", """
            Bikes need their carton to travel safely. If the carton is missing, we keep [[18 euros|22 euros]] of the refund
            to pay for a new one. Torn but complete cartons are accepted.
            """,
            fact("f011", "18 euros", "22 euros",
                 ["How much is deducted if the bike box is missing?", "What do you charge when the carton was thrown away?"],
                 "I no longer own the packaging. How big is the cut from my money?")),
        section("Large refunds", """
            Most refunds are released by the support team itself. Sums above two thousand are approved by the Head of
            Finance, who signs once a day. You need not do anything for this.
            """,
            fact("f012", "Head of Finance", None,
                 ["Who approves large refunds?", "Whose signature does a very big refund need?"],
                 "By whom are sums above two thousand approved?"))),

    page("warranty.md", "Warranty",
        section("Frames", """
            Every frame is tested before it leaves the factory. We give a warranty of [[5 years|8 years]] on frames, for the
            first owner and without registration. Scratches in the paint are not covered.
            """,
            fact("f013", "5 years", "8 years",
                 ["How long is the warranty on the frame?", "For how many years is a frame covered?"],
                 "What length of warranty do you give on frames for the first owner?",
                 "Length of the frame guarantee?")),
        section("Making a claim", """
            Write to claims@larkspur.example with two photos and your order number. A technician looks at each claim in
            person. You may keep riding unless we ask you to stop.
            """,
            fact("f014", "claims@larkspur.example", None,
                 ["What is the e-mail address for warranty claims?", "Where do I send a warranty claim?"],
                 "Something broke under guarantee. Which mailbox handles that?")),
        section("Displays and wiring", """
            Displays, switches and cables have their own terms. These electronic parts are covered for
            [[18 months|42 months]] after delivery. Water damage from a pressure washer is never covered.
            """,
            fact("f015", "18 months", "42 months",
                 ["For what time is the display under warranty?", "What is the cover period for electronic parts?"],
                 "If the screen on my handlebar dies, how long am I protected?",
                 also=["one and a half years", "a year and a half"], also_v2=["three and a half years"])),
        section("What ends the warranty", """
            Normal daily use never harms your rights. The warranty ends if the bike is used for competition racing, even
            once. Swapping tyres, grips or the saddle is allowed.
            """,
            fact("f016", "competition racing", None,
                 ["What kind of use voids the warranty?", "Which activity makes me lose the warranty?"],
                 "The warranty ends if the bike is used for what?",
                 "Which hobby would cost me my guarantee?",
                 also=["racing"]))),

    page("batteries.md", "Batteries",
        section("Battery guarantee", """
            A battery loses some capacity with age, which is normal. We guarantee that it still holds most of its capacity
            after [[500 charge cycles|700 charge cycles]]. The counter can be read in the battery menu.
            """,
            fact("f017", "500 charge cycles", "700 charge cycles",
                 ["How many charge cycles is the battery guaranteed for?", "Up to how many cycles do you guarantee the battery?"],
                 "How often can I recharge before the promise on capacity lapses?",
                 "Up to what number of refills do you vouch for the power pack?",
                 also=["500 cycles", "500"], also_v2=["700 cycles", "700"])),
        section("Winter storage", """
            Take the battery off the bike if you will not ride for a while. Store it charged to 60 percent in a dry room.
            Check it every few weeks and top it up if needed.
            """,
            fact("f018", "60 percent", None,
                 ["At what charge level should I store the battery?", "How full should the battery be over the winter?"],
                 "My e-bike rests until spring. What level is best for its power pack?",
                 also=["60%", "60 %", "60 per cent"],
                 wrong=["80 percent", "100 percent"])),
        section("Charging safely", """
            Only use the charger that came with the bike. Never charge below 5 degrees Celsius, because the cells are
            damaged by cold charging. Let a cold battery warm up indoors first.
            """,
            fact("f019", "5 degrees Celsius", None,
                 ["What is the lowest temperature for charging the battery?", "How cold may it be when I charge?"],
                 "Below how many degrees should I never charge the battery?",
                 "Minimum temperature at which cells may be charged?",
                 also=["5 degrees", "5 °C", "5°C"])),
        section("Replacement batteries", """
            Replacements fit all e-bikes we have ever sold. A replacement battery costs [[480 euros|525 euros]] including
            the return of the old one. Old batteries must never go into household waste.
            """,
            fact("f020", "480 euros", "525 euros",
                 ["What is the price of a new battery?", "How much do I pay to replace my battery?"],
                 "What does a replacement battery cost including return of the old one?"))),

    page("ebikes.md", "E-bike motors and displays",
        section("Assist limit", """
            The motor helps while you pedal. Assistance switches off at 25 km/h, as the law requires. Changing this limit is
            forbidden and makes the bike illegal on public roads.
            """,
            fact("f021", "25 km/h", None,
                 ["At what speed does the motor assistance stop?", "Up to which speed does the e-bike help me?"],
                 "How fast can I go before I have to pedal on my own?",
                 "Speed where assistance switches off?",
                 also=["25 kmh", "25 kph", "25 kilometres per hour", "25 kilometers per hour"],
                 wrong=["45 km/h", "20 km/h"])),
        section("Motor make", """
            All our e-bikes use a quiet hub motor in the rear wheel. The motor is made by [[Brenna|Tovik]], and its serial
            number is printed beside the cable. Do not open the motor yourself.
            """,
            fact("f022", "Brenna", "Tovik",
                 ["Who makes the motor of your e-bikes?", "Which brand is the e-bike motor?"],
                 "By which firm is the hub motor made?",
                 "What manufacturer supplies the rear hub drive?")),
        section("Walk assist", """
            Walk assist moves the bike gently while you push it up a ramp. Hold the minus button for two seconds to start
            it. Let go and it stops at once.
            """,
            fact("f023", "minus button", None,
                 ["Which button starts walk assist?", "What do I press for walk assist?"],
                 "I am shoving my bike out of a cellar. Which control makes it help?",
                 also=["minus"],
                 wrong=["plus button"])),
        section("Display software", """
            The display can be updated with the phone app. New display software appears once a year, in
            [[March|October]]. Keep the phone next to the bike until the bar is full.
            """,
            fact("f024", "March", "October",
                 ["In which month is new display software published?", "When does the yearly firmware update come out?"],
                 "In what month of the year does new display software appear?"))),

    page("cargo.md", "Cargo bikes",
        section("Load limit of the Heron", """
            The Heron is our long cargo bike with a wooden box. Its box carries up to [[180 kilograms|205 kilograms]] if
            the load is strapped down. Put heavy goods at the bottom.
            """,
            fact("f025", "180 kilograms", "205 kilograms",
                 ["What is the maximum load of the Heron box?", "How much weight may I put in the Heron?"],
                 "How many kilograms does the box of the Heron cargo bike carry?",
                 "Heaviest load allowed in the Heron?",
                 also=["180 kg", "180 kilos"], also_v2=["205 kg", "205 kilos"])),
        section("Carrying children", """
            A folding bench with belts comes with each Heron. The bench seats three children side by side. Children should
            wear a helmet and be able to sit upright alone.
            """,
            fact("f026", "three children", None,
                 ["How many kids fit in the Heron?", "For how many children is the bench in the cargo bike made?"],
                 "How large may my young family be for the school run with your box bike?",
                 also=["3 children", "three kids", "3 kids", "three"],
                 wrong=["two children", "four children"])),
        section("Wheels and tyres", """
            The rear wheel is a normal city wheel. The front wheel of the Heron measures 20 inches, which keeps the box
            low. Use the wide tyre only, because narrow ones fail under load.
            """,
            fact("f027", "20 inches", None,
                 ["What size is the front wheel of the Heron?", "Which front tyre diameter does the cargo bike need?"],
                 "How many inches does the Heron's front wheel measure?",
                 also=["20 inch", "20-inch"])),
        section("Rain canopy", """
            A clear canopy keeps passengers dry. The rain canopy costs [[128 euros|155 euros]] and is mounted without
            tools. It folds flat under the bench.
            """,
            fact("f028", "128 euros", "155 euros",
                 ["How much is the rain cover for the cargo bike?", "What is the price of the Heron canopy?"],
                 "What would I pay to shield my kids against a shower?",
                 "Cost of the clear canopy for passengers?"))),

    page("citybikes.md", "City bikes",
        section("Colours", """
            Each city bike comes in several colours. If you do not choose one at checkout, we send moss green. Special
            paint is not offered.
            """,
            fact("f029", "moss green", None,
                 ["Which colour do I get if I do not choose one?", "What is the default colour of the city bikes?"],
                 "I skipped the paint option when ordering. What will mine look like?",
                 also=["green"])),
        section("Weight", """
            Light bikes are easier on stairs. Our lightest city bike, the Wren, weighs [[13.5 kilograms|12.8 kilograms]]
            with pedals. A rack adds a little more.
            """,
            fact("f030", "13.5 kilograms", "12.8 kilograms",
                 ["How heavy is the Wren?", "What does your lightest city bike weigh?"],
                 "How many kilograms does the Wren weigh with pedals?",
                 "Is the Wren light enough for stairs, and what is its weight?",
                 also=["13.5 kg", "13.5 kilos"], also_v2=["12.8 kg", "12.8 kilos"])),
        section("Gears", """
            City bikes shift with a closed hub that needs hardly any care. The Wren has [[7 gears|11 gears]] and a twist
            grip. You can shift while standing at a red light.
            """,
            fact("f031", "7 gears", "11 gears",
                 ["How many gears does the Wren have?", "What number of speeds does the city hub offer?"],
                 "Hilly town here: how wide a choice of ratios would I get on the Wren?",
                 also=["7 speeds", "7-speed"], also_v2=["11 speeds", "11-speed"])),
        section("Frame material", """
            We want our frames to last and to be melted down again one day. Every city frame is made of recycled
            aluminium. The fork is steel for comfort.
            """,
            fact("f032", "recycled aluminium", None,
                 ["What are the city bike frames made of?", "Which material do you use for city frames?"],
                 "Every city frame is made of which metal?",
                 "What are Wrens built from, carbon or something else?",
                 also=["recycled aluminum", "aluminium", "aluminum"],
                 wrong=["steel", "carbon"]))),

    page("sizing.md", "Sizes and fitting",
        section("Smallest frame", """
            Frames come in four sizes from S to XL. Size S suits riders from 152 cm upwards. Between two sizes, choose the
            smaller one for a sportier seat.
            """,
            fact("f033", "152 cm", None,
                 ["What is the minimum body height for frame size S?", "How tall must I be for the smallest bike?"],
                 "From how many cm upwards does size S suit riders?",
                 "Shortest rider who fits frame size S?",
                 also=["152 centimetres", "152 centimeters", "1.52 m"])),
        section("Exchanging a size", """
            It is easy to pick the wrong size online. You can swap a bike for another size at no cost within
            [[14 days|21 days]] of delivery. We bring the new one and take the first one along.
            """,
            fact("f034", "14 days", "21 days",
                 ["How long can I exchange a bike for another size?", "What is the deadline for a free size swap?"],
                 "Mine turned out too big. By when must I ask for a smaller frame?",
                 also=["two weeks", "2 weeks"], also_v2=["three weeks", "3 weeks"])),
        section("Saddle height", """
            Measure your inside leg without shoes. Multiply that length by 0.885 to get the distance from the crank to the
            top of the saddle. Adjust by feel after a few rides.
            """,
            fact("f035", "0.885", None,
                 ["By which factor do I multiply my inside leg for saddle height?",
                  "What number is used to work out the saddle height?"],
                 "Multiply inside leg length by what to get the distance from crank to saddle?")),
        section("Video fitting", """
            A fitter can watch you on your bike through a video call. The call lasts [[25 minutes|40 minutes]] and is free
            for customers. Ask a friend to hold the phone.
            """,
            fact("f036", "25 minutes", "40 minutes",
                 ["How long does a video fitting last?", "What is the length of the fitting call?"],
                 "How much of my lunch break should I plan for the remote posture check?",
                 "Duration of a video call with the fitter?"))),

    page("assembly.md", "Assembly",
        section("State on arrival", """
            Your bike arrives nearly finished. It is 85 percent assembled when you open the carton. Only the handlebar,
            pedals and front wheel remain to be fixed.
            """,
            fact("f037", "85 percent", None,
                 ["How much of the bike is already assembled on arrival?",
                  "To what degree is the bike pre-assembled?"],
                 "What share of the building work is done before I unpack?",
                 also=["85%", "85 %", "85 per cent"])),
        section("Doorstep assembly", """
            If you do not like tools, a mechanic can do the rest in front of your house. Doorstep assembly costs
            [[65 euros|79 euros]] and must be booked with the order. It takes the mechanic less than an hour.
            """,
            fact("f038", "65 euros", "79 euros",
                 ["What does doorstep assembly cost?", "How much does a mechanic who builds the bike at my home charge?"],
                 "What is the cost of doorstep assembly booked with the order?",
                 "I have two left hands. How much do you ask for putting the thing together for me?")),
        section("Tightening the handlebar", """
            Turn the bar straight before tightening. Tighten the stem bolts to 6 newton metres, a little on each side in
            turn. Too much force can crack the clamp.
            """,
            fact("f039", "6 newton metres", None,
                 ["What torque do the handlebar bolts need?", "How tight should the stem bolts be?"],
                 "To how many newton metres should stem bolts be tightened?",
                 "Correct torque for bolts on the stem?",
                 also=["6 newton meters", "6 nm"],
                 wrong=["60 newton"])),
        section("Tools in the carton", """
            Look under the saddle foam for a small bag. It contains a [[hex key set|torque wrench]], which is all you need
            for the job. The bag and its contents are yours to keep.
            """,
            fact("f040", "hex key set", "torque wrench",
                 ["Which tool comes with the bike?", "What tool is packed in the carton?"],
                 "Which item do you include so that customers can build it themselves?",
                 also=["hex keys", "hex key", "allen keys"]))),

    page("service.md", "Service and maintenance",
        section("First check", """
            Cables stretch and spokes settle on a new bike. Have the first check done after 300 kilometres, whatever the
            season. Bring the stamp card with you.
            """,
            fact("f041", "300 kilometres", None,
                 ["After how many kilometres is the first check due?", "When should a new bike have its first inspection?"],
                 "Have the first check done after what distance?",
                 "At what mileage do fresh spokes need looking at?",
                 also=["300 km", "300 kilometers"])),
        section("Yearly service", """
            A yearly service keeps the bike safe. It costs [[95 euros|112 euros]] plus any parts that are replaced. Brakes,
            bearings and bolts are all looked at.
            """,
            fact("f042", "95 euros", "112 euros",
                 ["What is the price of the yearly service?", "How much does an annual service cost?"],
                 "What should I budget for a regular inspection every twelve months?",
                 "Cost of yearly service before parts?")),
        section("Chain care", """
            Wipe the chain with a dry rag before you treat it. We recommend ceramic wax, because it does not attract dust.
            Never use kitchen oil or grease spray.
            """,
            fact("f043", "ceramic wax", None,
                 ["Which lubricant do you recommend for the chain?", "What should I put on my chain?"],
                 "My drivetrain squeaks. What product do you suggest?",
                 also=["wax"])),
        section("Partner workshops", """
            You can have our bikes repaired close to home. We work with [[64 workshops|91 workshops]] around the country,
            and each is trained by us. The map on the site shows the nearest.
            """,
            fact("f044", "64 workshops", "91 workshops",
                 ["How many partner workshops are there?", "What is the size of your repair network?"],
                 "How many workshops around the country do you work with?",
                 also=["64"], also_v2=["91"]))),

    page("payment.md", "Payment",
        section("Buying on invoice", """
            You can receive the goods first and pay later. Invoices are handled by Klarbank, which checks your credit in a
            few seconds. The account number is printed on the invoice.
            """,
            fact("f045", "Klarbank", None,
                 ["Who handles purchases on invoice?", "Which partner runs the pay-later option?"],
                 "Invoices are handled by which bank?",
                 "Who wants my money when I buy now and settle next month?")),
        section("Paying in instalments", """
            Expensive bikes can be paid in parts. We offer [[12 monthly instalments|18 monthly instalments]] without
            interest. The first one is due when the bike leaves us.
            """,
            fact("f046", "12 monthly instalments", "18 monthly instalments",
                 ["How many instalments can I pay in?", "Over how many monthly payments can I spread the price?"],
                 "I would like to stretch the bill for a bike. What split is on offer?",
                 "Number of interest-free instalments for a bike?",
                 also=["12 instalments", "12 months", "12 monthly", "12 installments", "12 monthly installments"],
                 also_v2=["18 instalments", "18 months", "18 monthly", "18 installments", "18 monthly installments"])),
        section("Bank transfer", """
            Orders paid by transfer are packed once the money has arrived. We hold the goods for you for
            [[10 days|6 days]] and then release them again. Put the order number in the reference line.
            """,
            fact("f047", "10 days", "6 days",
                 ["How long are goods held for a bank transfer?", "How many days do I have to pay by transfer?"],
                 "For what time do you hold goods for orders paid by transfer?")),
        section("What we do not take", """
            Cards, transfer and invoice cover nearly every customer. We do not accept cheques, because clearing them takes
            too long. Foreign cards are fine if they allow online use.
            """,
            fact("f048", "cheques", None,
                 ["Which means of payment do you not accept?", "What payment method is refused?"],
                 "Grandpa wants to settle up the old way. Which kind of payment would be turned down?",
                 also=["cheque", "checks"]))),

    page("vouchers.md", "Vouchers and discounts",
        section("Validity", """
            Gift vouchers are sent by e-mail or on a printed card. A voucher is valid for [[2 years|3 years]] from the day
            it is bought. It can be spent in several steps.
            """,
            fact("f049", "2 years", "3 years",
                 ["When does a gift card expire?", "How much time do I have to use a gift voucher?"],
                 "From the day it is bought, how long is a voucher valid?",
                 "Grandma's present was in a drawer. Until when can I redeem it?")),
        section("Highest value", """
            You choose the amount yourself when you buy one. A single voucher can hold at most 760 euros. Several can be
            combined in one order.
            """,
            fact("f050", "760 euros", None,
                 ["What is the maximum amount of a gift voucher?", "How much money can I put on one voucher?"],
                 "What is the most generous present card I can get for my sister?",
                 "Biggest amount that a single voucher can hold?")),
        section("Students", """
            Students of any age pay less at Larkspur. The student discount is 8 percent on everything except sale goods.
            Upload a photo of your student card first.
            """,
            fact("f051", "8 percent", None,
                 ["How much discount do students get?", "What reduction is there with a student card?"],
                 "How high is the student discount on everything except sale goods?",
                 also=["8%", "8 %", "8 per cent"])),
        section("Newsletter", """
            The newsletter comes out about once a month. New subscribers receive a code worth [[15 euros|25 euros]] off
            their first order. You can unsubscribe at any time.
            """,
            fact("f052", "15 euros", "25 euros",
                 ["What is the newsletter code worth?", "How much do I save for subscribing to the newsletter?"],
                 "What do I gain by letting you mail me every month?"))),

    page("account.md", "Customer account",
        section("Passwords", """
            A strong password protects your orders and addresses. It must have at least 12 characters, and a short sentence
            works well. We will never ask for it by phone.
            """,
            fact("f053", "12 characters", None,
                 ["How long must my password be?", "What is the minimum password length?"],
                 "At least how many characters must a password have?",
                 "Is there a smallest size for the password of my orders page?",
                 also=["12"])),
        section("Reset links", """
            If you forget your password, ask for a reset link on the login page. The link works for
            [[30 minutes|3 hours]] and only once. Look in the spam folder if it does not show up.
            """,
            fact("f054", "30 minutes", "3 hours",
                 ["How long is the password reset link valid?", "When does the reset link expire?"],
                 "For how long does a reset link from the login page work?",
                 "I forgot my password; how quickly must I click the link?",
                 also=["half an hour"])),
        section("Locked accounts", """
            We lock accounts to stop people guessing. An account is locked after five failed attempts and can be opened
            again by our team. Have your customer number ready.
            """,
            fact("f055", "five failed attempts", None,
                 ["After how many failed logins is my account locked?", "How many wrong passwords until I am locked out?"],
                 "How many typos at sign-in can I make before you shut me out?",
                 also=["5 failed attempts", "five attempts", "5 attempts", "five", "5"],
                 wrong=["three failed", "ten failed"])),
        section("Deleting an account", """
            You can ask us to remove your account in the settings. It is erased [[28 days|7 days]] after your request, so
            that you can still change your mind. Open orders are finished first.
            """,
            fact("f056", "28 days", "7 days",
                 ["How long does it take to delete my account?", "How many days after my request is an account removed?"],
                 "I want to vanish from your customer list. What is the waiting time?",
                 also=["four weeks", "4 weeks"], also_v2=["one week", "a week", "1 week"]))),

    page("privacy.md", "Privacy",
        section("Data protection officer", """
            Our data protection officer is Ines Halvorsen, and she answers letters herself. She is independent of the sales
            team. Write to the head office and mark the letter as private.
            """,
            fact("f057", "Ines Halvorsen", None,
                 ["Who is the data protection officer of Larkspur?", "What is the name of your privacy officer?"],
                 "Which person should I address about misuse of personal information?",
                 also=["Halvorsen"])),
        section("Order records", """
            Tax law obliges us to keep invoices. Order records are kept for [[10 years|6 years]] and then destroyed. They
            are locked away from the marketing team.
            """,
            fact("f058", "10 years", "6 years",
                 ["How long are order records kept?", "For how many years do you store invoices?"],
                 "After what time are order records destroyed?",
                 "Years that tax papers about my order stay with you?")),
        section("Where data is stored", """
            We rent our servers and do not run a data centre. All customer data is stored in Finland and copied every
            night. No copy leaves the European Union.
            """,
            fact("f059", "Finland", None,
                 ["Where are your servers?", "Which country holds the records about me?"],
                 "In what country is all customer data stored and copied every night?",
                 "Where in the European Union do you rent servers?",
                 wrong=["Germany", "Ireland", "Netherlands"])),
        section("Phone recordings", """
            We record calls only if you agree at the start. Recordings are erased after [[90 days|75 days]] and are used for
            training alone. You can ask for a copy before that.
            """,
            fact("f060", "90 days", "75 days",
                 ["When are phone recordings deleted?", "How long do you keep recorded calls?"],
                 "You taped my hotline chat. When will nobody be able to hear it any more?",
                 also=["three months", "3 months"]))),

    page("contact.md", "Contact and opening hours",
        section("Phone", """
            You can reach a person and not a machine. Our phone number is 0800 555 2741, and calls are free from any
            network. Waiting is shortest in the late afternoon.
            """,
            fact("f061", "0800 555 2741", None,
                 ["What is your phone number?", "Which number do I call to reach Larkspur?"],
                 "What do I dial to speak with a human?",
                 "How do I ring your support from my mobile?",
                 also=["08005552741", "0800-555-2741"])),
        section("Saturday hours", """
            On weekdays we answer from morning until evening. On Saturdays the phones close at [[14:00|16:00]]. On Sundays
            nobody is in the office.
            """,
            fact("f062", "14:00", "16:00",
                 ["Until what time can I call on a Saturday?", "How late is the hotline staffed on Saturday?"],
                 "At what time on Saturdays do the phones close?",
                 "Latest moment for ringing you at the weekend?",
                 also=["2 pm", "2 p.m.", "two o'clock"], also_v2=["4 pm", "4 p.m.", "four o'clock"])),
        section("Chat assistant", """
            Simple questions are answered on the website at any hour. The chat assistant is called [[Robin|Juno]] and passes
            hard cases to our staff. It cannot see your payment details.
            """,
            fact("f063", "Robin", "Juno",
                 ["What is the name of the chat assistant?", "What is your chatbot called?"],
                 "Who am I typing to at midnight on your site?")),
        section("Head office", """
            Our head office is in Delft, in an old rope factory. Visitors are welcome with an appointment. There is no shop
            on the premises.
            """,
            fact("f064", "Delft", None,
                 ["Where is the head office of Larkspur?", "In which town is your company based?"],
                 "In which city is your head office, the old rope factory?",
                 wrong=["Amsterdam", "Rotterdam"]))),

    page("leasing.md", "Company leasing",
        section("Leasing partner", """
            Employers can lease bikes for their staff. The contracts are run by Radkontor, and we only deliver the bikes.
            Questions about wages go to your own employer.
            """,
            fact("f065", "Radkontor", None,
                 ["Which firm runs the leasing contracts?", "Who is your leasing partner?"],
                 "By which partner are leasing contracts for staff run?",
                 "My employer wants a lease: whose contracts would we sign?")),
        section("Term", """
            Leasing is cheaper than buying for many riders. A lease runs for [[48 months|30 months]] and cannot be paused.
            If you change jobs, the new employer can take it over.
            """,
            fact("f066", "48 months", "30 months",
                 ["How long does a bike lease run?", "What is the term of a leasing contract?"],
                 "If my boss rents a bike for me, how long are we tied in?",
                 also=["four years", "4 years"], also_v2=["two and a half years", "2.5 years"])),
        section("Company size", """
            Leasing is open to firms and public bodies alike. A firm needs at least 9 employees to join. Freelancers can
            buy in instalments instead.
            """,
            fact("f067", "9 employees", None,
                 ["How many employees must a company have for leasing?", "What is the minimum company size for leasing?"],
                 "Our start-up is tiny. What headcount do you ask for?",
                 also=["9", "nine"])),
        section("Buying the bike at the end", """
            At the end you may hand the bike back or keep it. Keeping it costs [[17 percent|13 percent]] of the first price.
            You get the offer by letter.
            """,
            fact("f068", "17 percent", "13 percent",
                 ["What share of the price do I pay to keep a leased bike?", "How much does it cost to buy the bike after leasing?"],
                 "Keeping the bike at the end costs what percent of the first price?",
                 "After the lease I would like to own it. Which fraction is due?",
                 also=["17%", "17 %", "17 per cent"], also_v2=["13%", "13 %", "13 per cent"]))),

    page("insurance.md", "Insurance",
        section("Monthly premium", """
            Theft insurance can be added to any new bike. The premium is [[9.50 euros|11.80 euros]] a month for city bikes and
            is collected by card. You can cancel at the end of each quarter.
            """,
            fact("f069", "9.50 euros", "11.80 euros",
                 ["What does theft insurance cost per month?", "How much is the monthly insurance premium?"],
                 "What premium a month is collected for theft insurance on city bikes?",
                 "Price of protecting a city bike against thieves each month?")),
        section("Locks", """
            The insurer only pays if the bike was locked. The lock must reach Level 14 on the maker's scale, and folding
            locks are accepted. Keep the receipt.
            """,
            fact("f070", "Level 14", None,
                 ["Which security level must my lock have for the insurance?", "What lock rating does the insurer demand?"],
                 "How tough must my chain be so that I am paid after a theft?",
                 "Which level on its maker's scale must a lock reach?",
                 also=["14"])),
        section("Own share", """
            The insurer covers repairs after a fall as well. You pay 70 euros of each repair yourself. The rest goes straight
            to the workshop.
            """,
            fact("f071", "70 euros", None,
                 ["What is the deductible of the bike insurance?", "What part of an insured repair is left for me to settle?"],
                 "How much of each repair do you pay yourself?")),
        section("Reporting a theft", """
            Go to the police first and ask for a file number. Then report the theft to us within [[48 hours|72 hours]] by
            phone or online. Later reports may be refused.
            """,
            fact("f072", "48 hours", "72 hours",
                 ["How quickly must I report a theft?", "What is the deadline to report a stolen bike?"],
                 "My Wren has vanished from the station! How soon do you need to know?",
                 "Within what time should a theft be reported to you?",
                 also=["two days", "2 days"], also_v2=["three days", "3 days"]))),

    page("recycling.md", "Trade-in and recycling",
        section("Trade-in value", """
            Bring your old bike along when you buy a new one. We give up to [[600 euros|840 euros]] for it, depending on its
            state. The value is taken off the new price.
            """,
            fact("f073", "600 euros", "840 euros",
                 ["What is the maximum trade-in value?", "How much can I get at most for my old bike?"],
                 "Up to what value do you give for an old bike, depending on its state?")),
        section("Bikes we give away", """
            Some bikes are too worn to sell. We repair them and give them to Second Spoke, a charity that lends bikes to
            newcomers. Volunteers are always wanted there.
            """,
            fact("f074", "Second Spoke", None,
                 ["Which charity gets the old bikes?", "To whom do you donate worn bikes?"],
                 "What good cause benefits from cycles you cannot resell?",
                 "Where do your scrap cycles go to do some good?")),
        section("Packing material", """
            We have stopped using plastic in our boxes. The padding is cornstarch foam, which dissolves in warm water. Straps
            are made of paper.
            """,
            fact("f075", "cornstarch foam", None,
                 ["What is the padding in your boxes made of?", "Which packing material do you use?"],
                 "Is there styrofoam around the goods, or what else protects them?",
                 also=["cornstarch", "corn starch foam"])),
        section("Age limit", """
            Not every bike can be traded in. It must be no older than [[7 years|11 years]] and still be fit to ride. Bikes
            without a frame number are turned away.
            """,
            fact("f076", "7 years", "11 years",
                 ["How old may a bike be for trade-in?", "What is the age limit for trading in a bike?"],
                 "No older than what must a bike be to be traded in?"))),

    page("spareparts.md", "Spare parts and accessories",
        section("How long parts are kept", """
            A good bike should be repairable for a long time. We keep spare parts in stock for 13 years after a model is
            discontinued. Rare parts are made to order.
            """,
            fact("f077", "13 years", None,
                 ["How long are spare parts available?", "Until when can I still get a part for an old model?"],
                 "For how many years after a model is discontinued do you keep parts in stock?",
                 "How long will parts for my discontinued bike stay in stock?")),
        section("Spare keys", """
            Each frame lock comes with two keys. A further key costs [[24 euros|33 euros]] and is cut from the number on the
            tag. Without the tag we cannot make one.
            """,
            fact("f078", "24 euros", "33 euros",
                 ["What does a spare key cost?", "How much do you charge for another key?"],
                 "I dropped mine down a drain and want to unlock my bike. What will it set me back?",
                 "We are three riders with two keys. What do we pay for one more?")),
        section("Locks we sell", """
            We test locks in our own yard with saws and drills. The only locks we sell are from Hasp & Rowe, because they
            held out longest. They come with a frame holder.
            """,
            fact("f079", "Hasp & Rowe", None,
                 ["Which brand of locks do you sell?", "Who makes the locks in your shop?"],
                 "The only locks you sell are from which maker?",
                 also=["hasp and rowe", "hasp rowe"])),
        section("Parts warehouse", """
            Spare parts do not come from the same place as bikes. Parts are sent from our warehouse in [[Bremen|Lille]] by
            letter post. Urgent parts can go by night courier.
            """,
            fact("f080", "Bremen", "Lille",
                 ["From which city are spare parts sent?", "Where is the parts warehouse?"],
                 "I am waiting for a brake lever. Which town does it set off from?"))),
]
